import { once } from "node:events";
import type { ServerResponse } from "node:http";
import { eventually } from "@cortex/testing";
import fc from "fast-check";
import { expect, test } from "vitest";
import { type ClientOptions, createClient } from "../client.ts";
import { ApiError, ConnectionError, UnexpectedAnswerError } from "../failures.ts";
import { defaultTiming } from "../http/timing.ts";
import { problem, serve } from "../testing/http-server.ts";
import {
  beat,
  delta,
  done,
  eventsOf,
  frame,
  openStreamAnswer,
  restOf,
  runCompleted,
  runId,
  shortRun,
  withoutCursor,
} from "../testing/recorded-log.ts";
import { type FollowOptions, reconnectWait, type StreamBreak } from "./follow-run.ts";
import type { FollowedEvent } from "./log-place.ts";

/** Patience of a test: breaks are healed at once. */
const timing = { reconnectMs: 0, longestReconnectMs: 1 };

const clientOf = (baseUrl: string, more: Partial<ClientOptions> = {}) =>
  createClient({ baseUrl, token: "secret", timing, ...more });

const follow = async (url: string, options: FollowOptions = {}, more: Partial<ClientOptions> = {}) =>
  Array.fromAsync(clientOf(url, more).followRun(runId, options));

const cursorsOf = (events: readonly FollowedEvent[]): string[] => events.map(({ cursor }) => cursor);
const allCursors = shortRun.map(({ seq }) => `1.${seq}`);

/** Sends a part and ends the connection when it is out: properly, or by a reset in the middle of the body. */
const sendPart = (response: ServerResponse, part: Uint8Array, ending: "closed" | "broken"): void => {
  openStreamAnswer(response);
  if (ending === "closed") response.end(part);
  else response.write(part, () => response.destroy());
};

test("a whole stream: every event as it was said, with its cursor", async () => {
  await using server = await serve((request, response) => {
    openStreamAnswer(response).end(restOf(shortRun, request.query.get("after")));
  });
  const events = await follow(server.url);
  expect(events.map(withoutCursor)).toEqual(shortRun);
  expect(cursorsOf(events)).toEqual(allCursors);
  expect(server.arrived).toHaveLength(1);
  expect(server.arrived[0]).toMatchObject({
    path: `/api/agent-run/${runId}/stream`,
    headers: { authorization: "Bearer secret", accept: "text/event-stream" },
  });
});

test.each(["closed", "broken"] as const)(
  "a stream that is %s at any byte: each event once and in order",
  async (ending) => {
    const whole = Buffer.from(restOf(shortRun, null));
    await using server = await serve((request, response) => {
      const after = request.query.get("after");
      const { "x-account-id": cut } = request.headers; // the tests of all places share one server
      const isFirst = !seen.has(String(cut));
      seen.add(String(cut));
      if (isFirst) sendPart(response, whole.subarray(0, Number(cut)), ending);
      else openStreamAnswer(response).end(restOf(shortRun, after));
    });
    const seen = new Set<string>();
    const places = [...whole.keys()];
    while (places.length > 0) {
      const batch = places.splice(0, 16);
      await Promise.all(
        batch.map(async (cut) => {
          const events = await follow(server.url, {}, { accountId: String(cut) });
          expect(cursorsOf(events), `cut at ${cut}`).toEqual(allCursors);
          expect(events.map(withoutCursor), `cut at ${cut}`).toEqual(shortRun);
        }),
      );
    }
    // All were cut, but for those that had `done` already and nothing more to ask.
    expect(server.arrived.length).toBeGreaterThan(1.9 * whole.length);
  },
  // Three thousand connections: 2 s alone, 8 s on a busy machine.
  60_000,
);

/** A fetch whose answer arrives in pieces that end at these bytes: what TCP does, without its moods. */
const inPieces = (bytes: Uint8Array<ArrayBuffer>, ends: readonly number[]): typeof fetch => {
  const places = [0, ...ends, bytes.length].toSorted((left, right) => left - right);
  return async () => {
    const body = new ReadableStream<Uint8Array<ArrayBuffer>>({
      start: (stream) => {
        for (const [index, place] of places.slice(1).entries()) stream.enqueue(bytes.slice(places[index], place));
        stream.close();
      },
    });
    return new Response(body, { headers: { "content-type": "text/event-stream" } });
  };
};

test("a stream in any pieces, characters in halves too, says the same", async () => {
  const whole = new TextEncoder().encode(restOf(shortRun, null));
  const places = fc.array(fc.nat(whole.length), { maxLength: 200 });
  const expectWhole = async (ends: readonly number[]): Promise<void> => {
    const events = await follow("http://test", { maxFailures: 1 }, { fetch: inPieces(whole, ends) });
    expect(events.map(withoutCursor)).toEqual(shortRun);
  };
  await expectWhole([...whole.keys()]);
  await fc.assert(fc.asyncProperty(places, expectWhole), { numRuns: 50 });
});

test("one connection for each event: the cursor goes on from break to break", async () => {
  const epoch = 3;
  await using server = await serve((request, response) => {
    const rest = restOf(shortRun, request.query.get("after"), epoch);
    const events = rest.split("\n\n").filter((text) => text.startsWith("id:"));
    openStreamAnswer(response).end(events.length > 1 ? `${events[0]}\n\n` : rest);
  });
  const events = await follow(server.url);
  expect(events.map(withoutCursor)).toEqual(shortRun);
  expect(server.arrived.map(({ query }) => query.get("after"))).toEqual([
    null,
    ...shortRun.slice(0, -1).map(({ seq }) => `3.${seq}`),
  ]);
});

test("what the server repeats is dropped, also from an older epoch", async () => {
  const [first, second, ...others] = shortRun.map((event) => frame(event, { epoch: 2, seq: event.seq }));
  const older = frame(runCompleted, { epoch: 1, seq: 99 });
  await using server = await serve((_, response) => {
    openStreamAnswer(response).end([first, first, second, older, first, second, ...others, done].join(""));
  });
  expect((await follow(server.url)).map(withoutCursor)).toEqual(shortRun);
});

test("a gap is asked for again and never shown; one that stays is told", async () => {
  const frames = shortRun.map((event) => frame(event, { epoch: 1, seq: event.seq }));
  await using server = await serve((request, response, number) => {
    const gap = [frames[0], frames[1], frames[3], done].join("");
    openStreamAnswer(response).end(number === 0 ? gap : restOf(shortRun, request.query.get("after")));
  });
  expect((await follow(server.url)).map(withoutCursor)).toEqual(shortRun);
  expect(server.arrived.map(({ query }) => query.get("after"))).toEqual([null, "1.1"]);

  await using broken = await serve((_, response) => {
    openStreamAnswer(response).end([frames[0], frames[2]].join(""));
  });
  await expect(follow(broken.url)).rejects.toThrow(new UnexpectedAnswerError("the stream jumped to 1.2"));
});

test("a rebuilt log is told from its start, with its resync", async () => {
  const rebuilt = eventsOf([{ type: "resync" }, { type: "run.queued" }, runCompleted]);
  await using server = await serve((request, response, number) => {
    const old = [frame(shortRun[0] ?? {}, { epoch: 1, seq: 0 }), frame(shortRun[1] ?? {}, { epoch: 1, seq: 1 })].join(
      "",
    );
    openStreamAnswer(response).end(number === 0 ? old : restOf(rebuilt, request.query.get("after"), 2));
  });
  const events = await follow(server.url);
  expect(cursorsOf(events)).toEqual(["1.0", "1.1", "2.0", "2.1", "2.2"]);
  expect(events[2]?.type).toBe("resync");
});

test("an epoch that changes within one connection, as it does under a follower who stayed", async () => {
  const rebuilt = eventsOf([{ type: "resync" }, runCompleted]);
  await using server = await serve((_, response) => {
    const old = frame(shortRun[0] ?? {}, { epoch: 1, seq: 0 });
    openStreamAnswer(response).end(old + restOf(rebuilt, null, 2));
  });
  expect(cursorsOf(await follow(server.url))).toEqual(["1.0", "2.0", "2.1"]);
});

test("goes on after a cursor; at the end there is nothing more to say", async () => {
  await using server = await serve((request, response) => {
    const after = request.query.get("after");
    if (after === `1.${shortRun.length - 1}`) response.writeHead(204).end();
    else openStreamAnswer(response).end(restOf(shortRun, after));
  });
  expect(cursorsOf(await follow(server.url, { after: "1.5" }))).toEqual(["1.6", "1.7"]);
  expect(await follow(server.url, { after: "1.7" })).toEqual([]);
  expect(server.arrived).toHaveLength(2);
  await expect(follow(server.url, { after: "yesterday" })).rejects.toThrow(TypeError);
});

test("types and named events of a newer API are passed over, and still move the cursor", async () => {
  await using server = await serve((request, response, number) => {
    const news = [
      frame({ type: "run.queued", seq: 0 }, { epoch: 1, seq: 0 }),
      frame({ type: "run.dreamt", seq: 1, of: "sheep" }, { epoch: 1, seq: 1 }),
      "event: advert\ndata: buy\n\n",
    ].join("");
    const end = frame(runCompleted, { epoch: 1, seq: 2 }) + done;
    openStreamAnswer(response).end(number === 0 ? news : end);
  });
  expect((await follow(server.url)).map(({ type }) => type)).toEqual(["run.queued", "run.completed"]);
  expect(server.arrived[1]?.query.get("after")).toBe("1.1");
});

test("each connection brings a fresh token", async () => {
  await using server = await serve((request, response, number) => {
    sendPart(response, Buffer.from(number === 2 ? restOf(shortRun, null) : ": hb\n\n"), "closed");
  });
  let tokens = 0;
  await follow(server.url, {}, { token: async () => `token-${(tokens += 1)}` });
  expect(server.arrived.map(({ headers }) => headers.authorization)).toEqual([
    "Bearer token-1",
    "Bearer token-2",
    "Bearer token-3",
  ]);
});

test("a token that cannot be renewed for want of a line is a break, any other failure of it ends the following", async () => {
  await using server = await serve((request, response) => {
    openStreamAnswer(response).end(restOf(shortRun, request.query.get("after")));
  });
  let asked = 0;
  const offline = async (): Promise<string> => {
    asked += 1;
    if (asked < 3) throw new ConnectionError("no line");
    return "token";
  };
  expect(await follow(server.url, {}, { token: offline })).toHaveLength(shortRun.length);
  const signedOut = async (): Promise<string> => {
    throw new Error("signed out");
  };
  await expect(follow(server.url, {}, { token: signedOut })).rejects.toThrow("signed out");
});

test.each([
  [400, "invalid_cursor"],
  [401, "unauthenticated"],
  [403, "forbidden"],
  [404, "not_found"],
])("%d is told at once", async (status, code) => {
  await using server = await serve((_, response) => problem(response, status, code));
  await expect(follow(server.url)).rejects.toMatchObject({ name: "ApiError", status, code, requestId: "req-1" });
  expect(server.arrived).toHaveLength(1);
});

test("a right to see the run that ends in mid-stream ends the following", async () => {
  await using server = await serve((_, response, number) => {
    if (number > 0) return problem(response, 404, "not_found");
    openStreamAnswer(response).end(frame(shortRun[0] ?? {}, { epoch: 1, seq: 0 }));
  });
  const events = clientOf(server.url).followRun(runId);
  expect((await events.next()).value).toMatchObject({ type: "run.queued" });
  await expect(events.next()).rejects.toBeInstanceOf(ApiError);
});

test.each([408, 429, 500, 502, 503])("%d is a break", async (status) => {
  await using server = await serve((request, response, number) => {
    if (number < 2) response.writeHead(status).end("<html>");
    else openStreamAnswer(response).end(restOf(shortRun, request.query.get("after")));
  });
  const breaks: StreamBreak[] = [];
  const events = await follow(server.url, { onBreak: (info) => breaks.push(info) });
  expect(events).toHaveLength(shortRun.length);
  expect(breaks).toMatchObject([
    { failures: 1, failure: { status } },
    { failures: 2, failure: { status } },
  ]);
});

test("`Retry-After` is kept to the letter", () => {
  const failure = new ApiError({
    status: 503,
    code: "unavailable",
    detail: "",
    retryable: true,
    retryAfterMs: 7_000,
    requestId: null,
    errors: [],
    agentRunId: null,
  });
  expect(reconnectWait({ timing: defaultTiming, failure, retryMs: null, failures: 1, random: 0 })).toBe(7_000);
});

test("waits between 0.25 s and a ceiling that doubles to 5 s; `retry:` is the first ceiling", () => {
  const wait = (failures: number, random: number, retryMs: number | null = null) =>
    reconnectWait({ timing: defaultTiming, failure: null, retryMs, failures, random });
  expect([1, 2, 3, 4, 5, 50].map((failures) => wait(failures, 0))).toEqual([250, 250, 250, 250, 250, 250]);
  expect([1, 2, 3, 4, 5, 50].map((failures) => wait(failures, 1))).toEqual([500, 1_000, 2_000, 4_000, 5_000, 5_000]);
  expect([wait(0, 0), wait(0, 1)]).toEqual([250, 500]);
  expect(wait(1, 1, 1_000)).toBe(1_000);
  expect(wait(1, 1, 3_600_000)).toBe(5_000);
});

test("a silent stream is taken for dead and opened again; a heartbeat keeps it", async () => {
  await using server = await serve((request, response, number) => {
    const stream = openStreamAnswer(response);
    if (number === 0) return; // headers, and then nothing
    const rest = restOf(number === 1 ? shortRun.slice(0, 2) : shortRun, request.query.get("after"));
    if (number === 1) stream.write(rest.replace(done, ""));
    else beat(stream, { everyMs: 50, count: 20, after: () => stream.end(rest) });
  });
  const breaks: StreamBreak[] = [];
  const onBreak = (info: StreamBreak) => breaks.push(info);
  // Ten beats long: a busy machine may be late by nine of them.
  const events = await follow(server.url, { onBreak }, { timing: { ...timing, silenceMs: 500 } });
  expect(events.map(withoutCursor)).toEqual(shortRun);
  expect(server.arrived).toHaveLength(3);
  expect(breaks.map(({ failure }) => failure?.message)).toEqual(Array(2).fill("the stream was silent for 500 ms"));
});

test("a reader who takes their time is not a silent stream", async () => {
  const [first = "", ...others] = shortRun.map((event) => frame(event, { epoch: 1, seq: event.seq }));
  let goOn = (): void => {};
  await using server = await serve((_, response) => {
    goOn = () => void response.end([...others, done].join(""));
    openStreamAnswer(response).write(first);
  });
  const silenceMs = 100;
  const events = clientOf(server.url, { timing: { ...timing, silenceMs } }).followRun(runId);
  expect((await events.next()).value).toMatchObject({ cursor: "1.0" });
  const began = performance.now();
  await eventually(() => performance.now() - began > 3 * silenceMs);
  goOn();
  expect(cursorsOf(await Array.fromAsync(events))).toEqual(allCursors.slice(1));
  expect(server.arrived).toHaveLength(1);
});

test("nobody listens: goes on trying, or gives up when it was told to", async () => {
  const server = await serve(() => {});
  await server[Symbol.asyncDispose]();
  await expect(follow(server.url, { maxFailures: 3 })).rejects.toBeInstanceOf(ConnectionError);
  const leave = new AbortController();
  const breaks: StreamBreak[] = [];
  const following = follow(server.url, { signal: leave.signal, onBreak: (info) => breaks.push(info) });
  await Promise.all([
    expect(following).rejects.toThrow("enough"),
    eventually(() => breaks.length > 5).then(() => leave.abort(new Error("enough"))),
  ]);
});

test("an abort throws its reason: before, while it waits for news, and while it waits to come back", async () => {
  const closed: number[] = [];
  await using server = await serve((_, response, number) => {
    response.on("close", () => closed.push(number));
    openStreamAnswer(response).write(frame(shortRun[0] ?? {}, { epoch: 1, seq: 0 }));
  });
  await expect(follow(server.url, { signal: AbortSignal.abort(new Error("early")) })).rejects.toThrow("early");
  expect(server.arrived).toHaveLength(0);

  const leave = new AbortController();
  const events = clientOf(server.url).followRun(runId, { signal: leave.signal });
  await events.next();
  const waiting = events.next();
  leave.abort(new Error("waiting"));
  await expect(waiting).rejects.toThrow("waiting");
  await eventually(() => closed.length === 1);

  await using whole = await serve((_, response) => void openStreamAnswer(response).end(restOf(shortRun, null)));
  const between = new AbortController();
  const arrived = clientOf(whole.url).followRun(runId, { signal: between.signal });
  await arrived.next();
  between.abort(new Error("between"));
  await expect(arrived.next()).rejects.toThrow("between");

  await using down = await serve((_, response) => problem(response, 503, "unavailable", { retry_after_ms: 3_600_000 }));
  const later = new AbortController();
  const paused = follow(down.url, { signal: later.signal, onBreak: () => later.abort(new Error("paused")) });
  await expect(paused).rejects.toThrow("paused");
});

test("a loop that is left closes its connection", async () => {
  const closed: number[] = [];
  await using server = await serve((_, response, number) => {
    response.on("close", () => closed.push(number));
    openStreamAnswer(response).write(restOf(shortRun, null).replace(done, ""));
  });
  for await (const event of clientOf(server.url).followRun(runId)) if (event.type === "run.completed") break;
  await eventually(() => closed.length === 1);
  expect(server.arrived).toHaveLength(1);
});

test("something else that answers at this address is told after a few looks", async () => {
  await using server = await serve((_, response) => {
    response.writeHead(200, { "content-type": "text/html" }).end("<html>");
  });
  await expect(follow(server.url)).rejects.toThrow(UnexpectedAnswerError);
  expect(server.arrived).toHaveLength(3);
  await using nonsense = await serve((_, response) => {
    openStreamAnswer(response).end("id: 1.0\ndata: {broken\n\n");
  });
  await expect(follow(nonsense.url)).rejects.toThrow("entry 1.0 of the stream is not JSON");
});

test("a slow reader slows the sender down and loses nothing", async () => {
  const text = "x".repeat(64 * 1024);
  const log = eventsOf([...Array.from({ length: 1_000 }, () => delta(text)), runCompleted]);
  let sent = 0;
  await using server = await serve(async (_, response) => {
    const stream = openStreamAnswer(response);
    for (const event of log) {
      sent += 1;
      if (!stream.write(frame(event, { epoch: 1, seq: event.seq }))) await once(stream, "drain");
    }
    stream.end(done);
  });
  const events = clientOf(server.url).followRun(runId);
  await events.next();
  let before = -1;
  await eventually(
    () => {
      const stands = sent === before;
      before = sent;
      return stands;
    },
    { intervalMs: 300 },
  );
  // 64 MB wait to be sent; sockets and both ends' buffers take some 10 of them.
  expect(sent).toBeLessThan(500);
  let count = 1;
  for await (const event of events) {
    expect(event.seq).toBe(count);
    count += 1;
  }
  expect(count).toBe(log.length);
});
