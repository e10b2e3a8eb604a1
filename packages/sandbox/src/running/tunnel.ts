import { Duplex } from "node:stream";
import { Channel } from "../agent/frames.ts";
import { SandboxError } from "../port/errors.ts";
import { maxConnections } from "../port/sandbox.ts";
import type { AgentLink } from "./agent-link.ts";
import { Handover } from "./handover.ts";

/** A stream that is destroyed by its own reader or writer, and not because something went wrong. */
class Left extends Error {}

/**
 * A byte stream through the agent to a port in the sandbox. Returns when the server has accepted.
 * @param connections counts what is open, so that a crowd of visitors is refused before it takes the agent's descriptors and our memory
 * @throws SandboxError `connection_refused`, `process_limit`; the signal's reason
 */
export const openTunnel = async (
  link: AgentLink,
  connections: { open: number },
  port: number,
  signal: AbortSignal | undefined,
): Promise<Duplex> => {
  if (connections.open >= maxConnections) {
    throw new SandboxError("process_limit", `The sandbox has ${maxConnections} open connections already.`);
  }
  connections.open++;
  const accepted = Promise.withResolvers<void>();
  const over = Promise.withResolvers<void>();
  const left = new AbortController();
  const outgoing = new Handover();
  let wantsMore: (() => void) | null = null;
  const release = (): void => {
    wantsMore?.();
    wantsMore = null;
  };

  const put = async (chunk: Uint8Array, done: () => void): Promise<void> => {
    await outgoing.put(chunk);
    done();
  };
  const finishWriting = async (done: () => void): Promise<void> => {
    await over.promise;
    done();
  };

  const stream = new Duplex({
    read: release,
    write: (chunk: Uint8Array, _encoding, done) => void put(chunk, done),
    // Finished when the server has everything, not when we have said everything: what is destroyed after its finish must lose nothing.
    final: (done) => {
      outgoing.end();
      void finishWriting(done);
    },
    destroy: (error, done) => {
      left.abort(error ?? new Left());
      outgoing.leave();
      outgoing.end();
      release();
      done(error);
    },
  });
  // Whoever holds the stream may listen; a reset that comes before anybody does must not end our process.
  stream.on("error", () => undefined);

  let finished = false;
  const finish = (): void => {
    if (!finished) stream.push(null);
    finished = true;
  };
  const onData = async (channel: number, data: Uint8Array): Promise<void> => {
    if (channel === Channel.connected) accepted.resolve();
    else if (channel === Channel.finished) finish();
    else if (!finished && !stream.destroyed && !stream.push(data)) {
      await new Promise<void>((resolve) => {
        wantsMore = resolve;
      });
    }
  };
  const onAbort = () => stream.destroy(asError(signal?.reason));
  signal?.addEventListener("abort", onAbort, { once: true });

  const ended = (): void => {
    connections.open--;
    over.resolve();
    signal?.removeEventListener("abort", onAbort);
  };
  link.call("connect", { port }, { signal: left.signal, body: outgoing.take(), onData }).then(
    () => {
      ended();
      accepted.reject(new SandboxError("sandbox_unavailable", "The sandbox answered nonsense."));
      finish();
      // Nothing reads what is still written.
      outgoing.leave();
    },
    (error: unknown) => {
      ended();
      accepted.reject(error);
      stream.destroy(asError(error));
    },
  );
  try {
    await accepted.promise;
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  }
  return stream;
};

const asError = (thrown: unknown): Error => (thrown instanceof Error ? thrown : new Error(String(thrown)));
