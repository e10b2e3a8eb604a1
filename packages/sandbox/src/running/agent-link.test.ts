import { PassThrough } from "node:stream";
import { eventually, refusalOf } from "@cortex/testing";
import { expect, test } from "vitest";
import {
  dataFrame,
  emptyFrame,
  type Frame,
  FrameReader,
  FrameType,
  jsonFrame,
  maxDataBytes,
  windowBytes,
} from "../agent/frames.ts";
import { AgentLink, type LinkOptions } from "./agent-link.ts";

const patient: LinkOptions = { cancelGraceMs: 200, livenessMs: null };

/** A link whose other end is played by the test. */
const aLink = (options: LinkOptions = patient) => {
  const input = new PassThrough();
  const output = new PassThrough();
  const link = new AgentLink({ input, output }, options);
  const heard: Frame[] = [];
  const reader = new FrameReader();
  output.on("data", (chunk: Buffer) => {
    for (const frame of reader.push(chunk)) heard.push({ ...frame, payload: Uint8Array.from(frame.payload) });
  });
  return {
    link,
    heard,
    say: (...frames: Uint8Array[]) => frames.forEach((frame) => input.write(frame)),
    close: () => input.destroy(),
    heardOf: (type: number) => heard.filter((frame) => frame.type === type),
  };
};

test("a call is answered by its own answer", async () => {
  const { link, say } = aLink();
  const answers = Promise.all([link.call("stat", {}), link.call("stat", {})]);
  say(jsonFrame(FrameType.response, 2, "second"), jsonFrame(FrameType.response, 1, "first"));
  expect(await answers).toEqual(["first", "second"]);
});

test("a failure keeps a reason that is known, and only such a one", async () => {
  const { link, say } = aLink();
  const known = refusalOf(link.call("read", {}));
  const unknown = link.call("read", {}).catch((error: unknown) => error);
  say(
    jsonFrame(FrameType.failure, 1, { reason: "file_not_found", message: "gone" }),
    jsonFrame(FrameType.failure, 2, { reason: "constructor", message: "odd" }),
  );
  expect(await known).toBe("not_found: gone");
  expect(await unknown).toMatchObject({ reason: "invalid_argument" });
});

test.for<[string, Uint8Array]>([
  ["a frame beyond all bounds", Buffer.from("ffffffff0000000000", "hex")],
  ["an answer that is no JSON", Buffer.concat([Buffer.from("000000010200000001", "hex"), Buffer.from("{")])],
  ["a failure without a reason", jsonFrame(FrameType.failure, 1, { message: 1 })],
  ["a frame of the host's own kind", jsonFrame(FrameType.request, 1, {})],
  ["data without a channel", Buffer.from("000000000400000001", "hex")],
])("%s breaks the link and fails every call", async ([, bytes]) => {
  const { link, say } = aLink();
  const calls = Promise.allSettled([link.call("list", {}), link.call("list", {})]);
  say(bytes);
  expect((await calls).map((result) => result.status)).toEqual(["rejected", "rejected"]);
  expect((await link.broken).message).toBe("The sandbox answered nonsense.");
  expect(await refusalOf(link.call("list", {}))).toBe("unavailable: The sandbox answered nonsense.");
});

test("an agent that sends more than it was allowed is broken with, so nothing of ours grows", async () => {
  const { link, say } = aLink();
  const never = Promise.withResolvers<void>();
  let taken = 0;
  const call = refusalOf(
    link.call(
      "read",
      {},
      {
        onData: async (_channel, data) => {
          taken += data.length;
          await Promise.race([never.promise, link.broken]);
        },
      },
    ),
  );
  const chunk = new Uint8Array(maxDataBytes);
  for (let sent = 0; sent <= windowBytes; sent += chunk.length) say(dataFrame(1, 0, chunk));
  expect((await link.broken).message).toBe("The sandbox answered nonsense.");
  expect(await call).toMatch(/^unavailable/);
  expect(taken).toBeLessThanOrEqual(windowBytes);
});

test("what the listener has not dealt with is not paid for with credit", async () => {
  const { link, say, heardOf } = aLink();
  const gate = Promise.withResolvers<void>();
  const call = link.call("read", {}, { onData: () => gate.promise });
  say(dataFrame(1, 0, new Uint8Array(100)), emptyFrame(FrameType.pong, 0), jsonFrame(FrameType.response, 1, null));
  await eventually(() => heardOf(FrameType.request).length === 1);
  expect(heardOf(FrameType.credit)).toHaveLength(0);
  gate.resolve();
  await call;
  expect(heardOf(FrameType.credit)).toHaveLength(1);
});

test("a body is sent no further than the agent has room", async () => {
  const { link, heardOf, say } = aLink();
  async function* body(): AsyncGenerator<Uint8Array> {
    for (let chunk = 0; chunk < 20; chunk++) yield new Uint8Array(maxDataBytes);
  }
  const call = link.call("write", {}, { body: body() });
  const sent = () => heardOf(FrameType.data).reduce((sum, frame) => sum + frame.payload.length - 1, 0);
  await eventually(() => sent() === windowBytes);
  say(jsonFrame(FrameType.response, 1, null));
  await call;
  expect(sent()).toBe(windowBytes);
});

test("an aborted call is cancelled, and its agent is given up if it does not answer", async () => {
  const { link, say, heardOf } = aLink();
  const abort = new AbortController();
  const answered = refusalOf(link.call("exec", {}, { signal: abort.signal }));
  const ignored = refusalOf(link.call("exec", {}, { signal: abort.signal }));
  abort.abort(new Error("stopped by the user"));
  await eventually(() => heardOf(FrameType.cancel).length === 2);
  say(jsonFrame(FrameType.response, 1, "too late"));
  expect(await answered).toBe("stopped by the user");
  expect(await ignored).toBe("stopped by the user");
  expect((await link.broken).message).toBe("The sandbox did not stop a command and was stopped.");
});

test("an agent that is silent while calls are open is given up; an idle one may be silent", async () => {
  const { link, say, heardOf } = aLink({ cancelGraceMs: 200, livenessMs: 150 });
  const call = link.call("exec", {});
  for (let round = 1; round <= 6; round++) {
    await eventually(() => heardOf(FrameType.ping).length >= round);
    say(emptyFrame(FrameType.pong, 0));
  }
  say(jsonFrame(FrameType.response, 1, "done"));
  expect(await call).toBe("done");
  expect(await refusalOf(link.call("exec", {}))).toBe("unavailable: The sandbox stopped answering and was stopped.");
});

test("the end of the process fails what is open and what comes later", async () => {
  const { link, close } = aLink();
  const call = refusalOf(link.call("exec", {}));
  close();
  expect(await call).toBe("unavailable: The sandbox stopped.");
  expect(await refusalOf(link.ready)).toBe("unavailable: The sandbox stopped.");
});
