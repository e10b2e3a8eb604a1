import type { ServerResponse } from "node:http";
import { type RunFrame, type SlotTimings, slotTimings } from "@cortex/events";
import { done, framePieces, heartbeat, opening } from "./frame-text.ts";
import type { ReaderEnd, StreamReader } from "./stream-reader.ts";

export interface StreamTimings {
  /** Below the idle timeouts of what stands between: nginx and load balancers 60 s. A client gives up after 45 s = 3 × heartbeat. */
  heartbeatMs: number;
  /** How long a stream may outlive the right to see it. */
  recheckMs: number;
  /** How long a client may leave what we wrote unread. */
  patienceMs: number;
  /**
   * How long a connection may last; its client comes back with its cursor. So a process that has joined gets its share of the followers, and a
   * connection whose other end vanished without a word is kept for so long at most.
   */
  longestMs: number;
  /** The places of a user's streams. */
  slots: SlotTimings;
}

export const streamTimings: StreamTimings = {
  heartbeatMs: 15_000,
  recheckMs: 60_000,
  patienceMs: 30_000,
  longestMs: 900_000,
  slots: slotTimings,
};

/** Followers that came together must not come back together: the last fifth of the time is left to chance. */
const spread = 0.2;

const headers = {
  "content-type": "text/event-stream; charset=utf-8",
  "cache-control": "no-cache, no-transform",
  "x-accel-buffering": "no",
};

export interface SendRunInput {
  outgoing: ServerResponse;
  reader: StreamReader;
  /** What the middleware has set for this response. */
  headers: Headers;
  first: RunFrame;
  rest: AsyncGenerator<RunFrame, void, void>;
  /** Asked every `recheckMs`. It may fail: then the next one decides. */
  mayFollow: () => Promise<boolean>;
  timings: Omit<StreamTimings, "slots">;
}

/** A client that does not take our last words either is not waited for: its connection would stay for ever. */
const endSoon = (outgoing: ServerResponse, patienceMs: number): void => {
  outgoing.end();
  const enough = setTimeout(() => outgoing.destroy(), patienceMs);
  enough.unref();
  outgoing.once("close", () => clearTimeout(enough));
};

/**
 * Writes a run to a client, from the first frame to its end or the client's. Straight to the socket's response: every piece of a frame
 * is an awaited write, so a client that does not read costs the kernel's buffer and one piece.
 */
export const sendRun = async (input: SendRunInput): Promise<ReaderEnd | "done"> => {
  const { outgoing, reader, rest, timings } = input;
  outgoing.writeHead(200, { ...Object.fromEntries(input.headers), ...headers });
  const beat = setInterval(() => reader.offer(heartbeat), timings.heartbeatMs);
  const check = setInterval(() => {
    input.mayFollow().then(
      (may) => may || reader.end("revoked"),
      () => undefined, // The store is away; a stream that lives on what is in the log already is no harm for another minute.
    );
  }, timings.recheckMs);
  const longest = setTimeout(() => reader.end("long"), timings.longestMs * (1 - spread * Math.random()));
  try {
    for (const piece of framePieces(input.first, opening)) await reader.write(piece);
    for await (const frame of rest) for (const piece of framePieces(frame)) await reader.write(piece);
    await reader.write(done);
    return reader.ended() ?? "done";
  } finally {
    clearInterval(beat);
    clearInterval(check);
    clearTimeout(longest);
    // Whoever does not read would not read our goodbye either.
    if (reader.ended() === "slow" || reader.ended() === "gone") outgoing.destroy();
    else endSoon(outgoing, timings.patienceMs);
  }
};
