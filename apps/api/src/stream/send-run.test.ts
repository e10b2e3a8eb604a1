import { createServer, type ServerResponse } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { promisify } from "node:util";
import type { RunFrame } from "@cortex/events";
import { eventually } from "@cortex/testing";
import { expect, onTestFinished, test } from "vitest";
import { sendRun, type SendRunInput } from "./send-run.ts";
import { openReader, type ReaderEnd } from "./stream-reader.ts";

const entry = JSON.stringify({ type: "message.delta", text: "x".repeat(1_000) });
const frameOf = (firstSeq: number): RunFrame => ({
  epoch: 1,
  first_seq: firstSeq,
  entries: Array.from({ length: 64 }, () => entry),
});
const timings = { heartbeatMs: 60_000, recheckMs: 60_000, patienceMs: 60_000, longestMs: 600_000 };

interface Streaming {
  socket: Socket;
  closing: AbortController;
  ended: Promise<ReaderEnd | "done">;
  /** The most that was ever waiting in this process when the next frame was asked for. */
  mostWaiting: () => number;
  framesTaken: () => number;
  /** That the server has. */
  connections: () => Promise<number>;
}

/** A stream of frames without end to a socket that has not begun to read. */
const stream = async (
  changes: Partial<SendRunInput> & { patienceMs?: number; frames?: number } = {},
): Promise<Streaming> => {
  const closing = new AbortController();
  let taken = 0;
  let most = 0;
  const began = Promise.withResolvers<{ ended: Promise<ReaderEnd | "done"> }>();
  const send = (outgoing: ServerResponse): Promise<ReaderEnd | "done"> => {
    const reader = openReader(outgoing, {
      closing: closing.signal,
      patienceMs: changes.patienceMs ?? timings.patienceMs,
    });
    const frames = async function* (): AsyncGenerator<RunFrame, void, void> {
      while (!reader.signal.aborted && taken < (changes.frames ?? Number.POSITIVE_INFINITY)) {
        taken += 1;
        most = Math.max(most, outgoing.writableLength);
        yield frameOf(taken * 64);
      }
    };
    const mayFollow = () => Promise.resolve(true);
    return sendRun({
      outgoing,
      reader,
      headers: new Headers(),
      first: frameOf(0),
      rest: frames(),
      mayFollow,
      timings,
      ...changes,
    });
  };
  const server = createServer((_request, outgoing) => began.resolve({ ended: send(outgoing) }));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  const socket = connect((server.address() as AddressInfo).port, "127.0.0.1");
  onTestFinished(() => void socket.destroy());
  socket.on("error", () => {}); // reset by the server: meant so
  socket.pause();
  socket.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  const { ended } = await began.promise;
  const connections = promisify(server.getConnections.bind(server));
  return { socket, closing, ended, mostWaiting: () => most, framesTaken: () => taken, connections };
};

/** Waits until the writer has filled what the kernel takes and stands still. */
const blocked = async ({ framesTaken }: Streaming): Promise<number> => {
  let last = -1;
  await eventually(
    () => {
      const now = framesTaken();
      const stands = now === last && now > 0;
      last = now;
      return stands;
    },
    { intervalMs: 100 },
  );
  return last;
};

test("a client that does not read costs one frame, and is dropped when its patience is over", async () => {
  const streaming = await stream({ patienceMs: 400 });
  await blocked(streaming);
  expect(await streaming.ended).toBe("slow");
  // Asked for only when everything before had left this process.
  expect(streaming.mostWaiting()).toBeLessThan(Buffer.byteLength(entry) * 2);
  // What it had is what the kernel holds for both ends (up to 37 MB here).
  expect(streaming.framesTaken()).toBeLessThan(1_000);
});

test("a client that reads again in time goes on", async () => {
  const streaming = await stream({ patienceMs: 5_000, frames: 400 });
  await blocked(streaming);
  let text = "";
  streaming.socket.setEncoding("utf8").on("data", (piece: string) => (text += piece));
  streaming.socket.resume();
  expect(await streaming.ended).toBe("done");
  await eventually(() => text.endsWith("event: done\ndata: {}\n\n\r\n0\r\n\r\n"), { timeoutMs: 15_000 });
});

test("a client that goes, and a process that stops, end it at once, also while it is blocked", async () => {
  const gone = await stream();
  await blocked(gone);
  gone.socket.destroy();
  expect(await gone.ended).toBe("gone");

  const closing = await stream();
  await blocked(closing);
  closing.closing.abort();
  expect(await closing.ended).toBe("closing");
});

test("a connection ends after its time, within a fifth of it, and one that is blocked then is not waited for", async () => {
  const longestMs = 500;
  const began = performance.now();
  const waiting = await stream({ timings: { ...timings, longestMs } });
  waiting.socket.resume();
  expect(await waiting.ended).toBe("long");
  expect(performance.now() - began).toBeGreaterThan(0.8 * longestMs - 50);

  const unread = await stream({ timings: { ...timings, longestMs, patienceMs: 100 } });
  expect(await unread.ended).toBe("long");
  await eventually(async () => (await unread.connections()) === 0);
});

test("a right that cannot be asked about is asked about again; one that is gone ends the stream", async () => {
  const answers = [
    () => Promise.reject(new Error("the store is away")),
    () => Promise.resolve(true),
    () => Promise.resolve(false),
  ];
  let asked = 0;
  const never = async function* (): AsyncGenerator<RunFrame, void, void> {
    await eventually(() => asked >= answers.length);
    yield frameOf(64);
  };
  const mayFollow = () => answers[asked++]?.() ?? Promise.resolve(false);
  const streaming = await stream({ mayFollow, rest: never(), timings: { ...timings, recheckMs: 20 } });
  streaming.socket.resume();
  expect([await streaming.ended, asked]).toEqual(["revoked", 3]);
});
