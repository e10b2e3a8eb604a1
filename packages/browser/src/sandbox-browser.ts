import { randomUUID } from "node:crypto";
import { AppError } from "@cortex/contracts";
import { type OpenSandbox, type Sandbox, SandboxError } from "@cortex/sandbox/port";
import { chromiumArguments, chromiumNames, chromiumPlaces } from "./chromium.ts";
import type { Launch, Launched } from "./launched.ts";
import { startMs } from "./limits.ts";
import { loadPlaywright } from "./playwright.ts";
import { webSocketTransport } from "./transport.ts";

/** Longer than any run: it ends with the run, by its signal. */
const longestLifeMs = 24 * 60 * 60 * 1_000;

const missingExitCode = 43;

/**
 * The shell becomes the browser, so that ending the command ends it and its children. It has a home of its own, or its settings would lie
 * among the user's files. The sandbox around it is the wall that Chromium's own would be, which cannot be built inside one.
 */
const commandFor = (folder: string): string => `
for program in ${[...chromiumPlaces, ...chromiumNames].join(" ")}; do
  program=$(command -v "$program") && break
done
[ -n "$program" ] || exit ${missingExitCode}
mkdir -p ${folder} && export HOME=${folder} TMPDIR=${folder}
exec "$program" ${chromiumArguments.join(" ")} --no-sandbox --remote-debugging-port=0 --user-data-dir=${folder}/profile`;

const listening = /DevTools listening on ws:\/\/127\.0\.0\.1:(\d{1,5})(\/devtools\/browser\/[\w-]{1,64})\s/;

const missing = (): AppError =>
  new AppError(
    "conflict",
    "There is no browser in this sandbox: neither Chromium nor Google Chrome is installed where it runs. Pages can be looked at as text only.",
  );

interface Running {
  /** Rejects when it will never say where it listens. */
  address: Promise<{ port: number; path: string }>;
  ended: Promise<string>;
  /** The sandbox has ended with everything in it. */
  isSwept(): boolean;
}

const startProcess = (sandbox: Sandbox, folder: string, life: AbortSignal): Running => {
  const address = Promise.withResolvers<{ port: number; path: string }>();
  let said = "";
  let swept = false;
  const onOutput = ({ text }: { text: string }): void => {
    said = (said + text).slice(-8_000);
    const [, port, path] = listening.exec(said) ?? [];
    if (port !== undefined && path !== undefined) address.resolve({ port: Number(port), path });
  };
  const input = { command: commandFor(folder), timeoutMs: longestLifeMs, maxOutputBytes: 256 * 1024, onOutput };
  const ended = sandbox.exec(input, life).then(
    ({ exitCode }) => {
      const silent = new AppError("unavailable", `The browser did not start (exit code ${exitCode}).`);
      address.reject(exitCode === missingExitCode ? missing() : silent);
      return `The browser ended by itself (exit code ${exitCode}).`;
    },
    (error: unknown) => {
      swept = error instanceof SandboxError;
      address.reject(error);
      return swept ? "The browser ended with its sandbox." : "The browser was closed.";
    },
  );
  return { address: address.promise, ended, isSwept: () => swept };
};

const inTime = async <Result>(work: Promise<Result>, signal: AbortSignal): Promise<Result> => {
  const late = AbortSignal.timeout(startMs);
  const either = AbortSignal.any([signal, late]);
  const over = new Promise<never>((_, reject) => {
    either.addEventListener("abort", () => reject(either.reason), { once: true });
  });
  try {
    return await Promise.race([work, over]);
  } catch (error) {
    if (error === late.reason) throw new AppError("unavailable", "The browser did not start in time.");
    throw error;
  }
};

/** Addresses that a browser in a sandbox opens: it sees no more than the commands beside it. */
const refusesInSandbox = (url: URL): string | null =>
  ["http:", "https:", "file:"].includes(url.protocol) ? null : "Only http, https and file addresses are opened here.";

/** Chromium as a process of the project's sandbox, spoken to through a connection to its port. */
export const sandboxBrowser =
  (openSandbox: OpenSandbox): Launch =>
  async (signal): Promise<Launched> => {
    const sandbox = await openSandbox();
    signal.throwIfAborted();
    if (!sandbox.capabilities.processes || !sandbox.capabilities.preview) {
      throw new AppError("conflict", `A ${sandbox.provider} sandbox runs no programs, so there is no browser in it.`);
    }
    const folder = `/tmp/browser-${randomUUID()}`;
    const life = new AbortController();
    const process = startProcess(sandbox, folder, life.signal);
    const end = async (): Promise<void> => {
      life.abort(new AppError("conflict", "The browser was closed."));
      await process.ended;
      // A sandbox that has ended has taken the folder along, and must not be started to look for it.
      if (process.isSwept()) return;
      await sandbox.exec({ command: `rm -rf ${folder}`, timeoutMs: 5_000 }).catch(() => null);
    };
    const onAbort = () => life.abort(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      const { port, path } = await inTime(process.address, signal);
      const stream = await sandbox.connect({ port }, life.signal);
      const transport = await webSocketTransport(stream, path);
      const { chromium } = await loadPlaywright();
      const browser = await chromium.connectOverCDP(transport, { timeout: startMs });
      signal.throwIfAborted();
      const networkNote = sandbox.capabilities.network
        ? ""
        : " The sandbox has no network: only servers that run in it can be opened, as http://localhost:<port>.";
      return { browser, context: {}, refuses: refusesInSandbox, networkNote, ended: process.ended, end };
    } catch (error) {
      await end();
      signal.throwIfAborted();
      if (error instanceof AppError) throw error;
      throw new AppError("unavailable", "The browser did not start.", {}, { cause: error });
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  };
