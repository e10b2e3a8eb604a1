import type { z } from "zod";
import { Channel, readJson } from "../agent/frames.ts";
import { SandboxError } from "../port/errors.ts";
import type { FileContent, FileEntry, FileStream, ReadOptions, SandboxFiles } from "../port/files.ts";
import { parseWorkspacePath } from "../port/workspace-path.ts";
import type { AgentLink } from "./agent-link.ts";
import { Handover } from "./handover.ts";
import { parseAnswer, WireEntry, WireEntryOrNull, WireList, WireSearch } from "./wire.ts";

/** Runs work on the machine's link: `Machine.use`, with what a handle adds. */
export type UseLink = <Result>(work: (link: AgentLink) => Promise<Result>) => Promise<Result>;

const defaultMaxReadBytes = 10 * 1024 * 1024;
const defaultMaxEntries = 10_000;
const defaultMaxMatches = 200;
const defaultExcluded = [".git", "node_modules"];

const entryFrom = (wire: z.infer<typeof WireEntry>): FileEntry => ({
  name: wire.name,
  path: wire.path,
  type: wire.type,
  size: wire.size,
  modifiedAt: new Date(wire.modified_ms),
  mode: wire.mode,
  etag: wire.etag,
});

async function* bytesOf(content: FileContent): AsyncGenerator<Uint8Array, void, undefined> {
  if (typeof content === "string") yield new TextEncoder().encode(content);
  else if (content instanceof Uint8Array) yield content;
  else yield* content;
}

const readArguments = (path: string, options: ReadOptions): Record<string, unknown> => ({
  path: parseWorkspacePath(path),
  offset: options.offset ?? 0,
  length: options.length ?? null,
});

/**
 * Opens a file and leaves its content with the agent until it is taken. The machine counts as used until the body ends.
 */
const openStream = async (
  use: UseLink,
  args: Record<string, unknown>,
  signal: AbortSignal | undefined,
): Promise<FileStream> => {
  const opened = Promise.withResolvers<FileEntry>();
  const handover = new Handover();
  const left = new AbortController();
  const calling = use((link) =>
    link.call("read", args, {
      signal: signal === undefined ? left.signal : AbortSignal.any([signal, left.signal]),
      onData: async (channel, data) => {
        if (channel === Channel.entry) {
          opened.resolve(entryFrom(parseAnswer(WireEntry, readJson(data))));
        } else {
          await handover.put(data);
        }
      },
    }),
  );
  const ended = calling.then(
    () => {
      opened.reject(new SandboxError("sandbox_unavailable", "The sandbox answered nonsense."));
      handover.end();
    },
    (error: unknown) => {
      opened.reject(error);
      handover.fail(error);
    },
  );
  // Aborted, the consumer may never come back for the chunk that the call waits to hand over.
  signal?.addEventListener("abort", () => handover.leave(), { once: true });
  const body = async function* (): AsyncGenerator<Uint8Array, void, undefined> {
    try {
      yield* handover.take();
    } finally {
      left.abort();
      await ended;
    }
  };
  return { entry: await opened.promise, body: body() };
};

const readWhole = async (
  use: UseLink,
  path: string,
  options: ReadOptions & { maxBytes?: number },
  signal: AbortSignal | undefined,
): Promise<Uint8Array> => {
  const maxBytes = options.maxBytes ?? defaultMaxReadBytes;
  const chunks: Uint8Array[] = [];
  let held = 0;
  await use((link) =>
    link.call("read", readArguments(path, options), {
      signal,
      onData: (channel, data) => {
        if (channel !== Channel.body) return;
        held += data.length;
        if (held > maxBytes)
          throw new SandboxError("file_too_large", `The file is larger than ${maxBytes} bytes: ${path}`);
        chunks.push(data);
      },
    }),
  );
  return Buffer.concat(chunks, held);
};

/** The files of a machine: the port's rules before the call, the port's types after it. */
export const machineFiles = (use: UseLink): SandboxFiles => ({
  read: (path, options = {}, signal) => readWhole(use, path, options, signal),
  readStream: async (path, options = {}, signal) => openStream(use, readArguments(path, options), signal),

  write: async (path, content, options = {}, signal) => {
    const args = {
      path: parseWorkspacePath(path),
      if_exists: options.ifExists ?? "replace",
      if_match: options.ifMatch ?? null,
      mode: options.mode ?? null,
    };
    const answer = await use((link) => link.call("write", args, { signal, body: bytesOf(content) }));
    return entryFrom(parseAnswer(WireEntry, answer));
  },

  list: async (path, options = {}, signal) => {
    const args = { path: parseWorkspacePath(path), limit: options.limit ?? defaultMaxEntries };
    const answer = parseAnswer(WireList, await use((link) => link.call("list", args, { signal })));
    return { entries: answer.entries.map(entryFrom), truncated: answer.truncated };
  },

  stat: async (path, signal) => {
    const args = { path: parseWorkspacePath(path) };
    const answer = parseAnswer(WireEntryOrNull, await use((link) => link.call("stat", args, { signal })));
    return answer === null ? null : entryFrom(answer);
  },

  mkdir: async (path, signal) => {
    const args = { path: parseWorkspacePath(path) };
    await use((link) => link.call("mkdir", args, { signal }));
  },

  move: async (from, to, options = {}, signal) => {
    const args = {
      from: parseWorkspacePath(from),
      to: parseWorkspacePath(to),
      overwrite: options.overwrite ?? false,
    };
    await use((link) => link.call("move", args, { signal }));
  },

  remove: async (path, options = {}, signal) => {
    const args = { path: parseWorkspacePath(path), recursive: options.recursive ?? false };
    await use((link) => link.call("remove", args, { signal }));
  },

  setMode: async (path, mode, signal) => {
    const args = { path: parseWorkspacePath(path), mode };
    await use((link) => link.call("set_mode", args, { signal }));
  },

  search: async (query, signal) => {
    const args = {
      path: parseWorkspacePath(query.path ?? ""),
      glob: query.glob ?? null,
      text: query.text ?? null,
      exclude: query.exclude ?? defaultExcluded,
      limit: query.limit ?? defaultMaxMatches,
    };
    return parseAnswer(WireSearch, await use((link) => link.call("search", args, { signal })));
  },
});
