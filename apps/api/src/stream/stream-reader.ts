import type { ServerResponse } from "node:http";

/**
 * Why a stream ended before its run. `gone`: the client closed; `slow`: it did not read; `revoked`: it may not read any more; `closing`: we stop;
 * `crowded`: newer streams of the user have all the places; `long`: it was open for as long as a connection may be; `over`: nothing is left to do.
 */
export type ReaderEnd = "gone" | "slow" | "revoked" | "closing" | "crowded" | "long" | "over";

/** The client's side of one stream. */
export interface StreamReader {
  /** Aborted once, when the stream is to end early. */
  signal: AbortSignal;
  /** Why; null as long as it is not. */
  ended(): ReaderEnd | null;
  end(reason: ReaderEnd): void;
  /** Resolves when there is room for more, or the stream is to end: whoever awaits it never holds more than one piece. */
  write(text: string): Promise<void>;
  /** Writes only if nothing is waiting to go out; for what may be left out. */
  offer(text: string): void;
  /** Stops watching; the response is left as it is. */
  release(): void;
}

/**
 * Watches over one response: it ends with the client, with the process (`closing`), or when the client has not read for `patienceMs`.
 */
export const openReader = (
  outgoing: ServerResponse,
  input: { closing: AbortSignal; patienceMs: number },
): StreamReader => {
  const abort = new AbortController();
  let reason: ReaderEnd | null = null;

  const end = (why: ReaderEnd): void => {
    if (reason !== null) return;
    reason = why;
    abort.abort();
  };
  const gone = () => end("gone");
  const closing = () => end("closing");
  outgoing.once("close", gone);
  // Stays for good: an error that nobody hears would end the process.
  outgoing.on("error", gone);
  if (outgoing.destroyed) gone();
  input.closing.addEventListener("abort", closing);
  if (input.closing.aborted) closing();

  const drained = (): Promise<void> =>
    new Promise((resolve) => {
      const settle = (): void => {
        clearTimeout(timer);
        outgoing.off("drain", settle);
        abort.signal.removeEventListener("abort", settle);
        resolve();
      };
      const timer = setTimeout(() => end("slow"), input.patienceMs);
      outgoing.once("drain", settle);
      abort.signal.addEventListener("abort", settle);
    });

  return {
    signal: abort.signal,
    ended: () => reason,
    end,
    write: async (text) => {
      if (reason === null && !outgoing.write(text)) await drained();
    },
    offer: (text) => {
      if (reason === null && !outgoing.writableNeedDrain) outgoing.write(text);
    },
    release: () => {
      input.closing.removeEventListener("abort", closing);
      outgoing.off("close", gone);
    },
  };
};
