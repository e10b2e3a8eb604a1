import { expect, test } from "vitest";
import { createClient } from "../client.ts";
import { defaultTiming } from "../http/timing.ts";
import { problem, serve } from "../testing/http-server.ts";
import { beat, done, openStreamAnswer, restOf, runId, shortRun, withoutCursor } from "../testing/recorded-log.ts";
import type { FollowOptions, StreamBreak } from "./follow-run.ts";

/** Breaks are healed at once. */
const timing = { ...defaultTiming, reconnectMs: 0, longestReconnectMs: 1 };

const follow = async (baseUrl: string, options: FollowOptions, silenceMs = timing.silenceMs) =>
  Array.fromAsync(
    createClient({ baseUrl, token: "secret", timing: { ...timing, silenceMs } }).followRun(runId, options),
  );

test("a place that is not free yet is waited for, as long as the server says, and the following goes on from its cursor", async () => {
  const places = [shortRun.slice(0, 3), null, shortRun];
  await using server = await serve((request, response, number) => {
    const known = places[number];
    if (!known) return problem(response, 429, "too_many_streams", { retryable: true, retry_after_ms: 120 });
    const rest = restOf(known, request.query.get("after"));
    openStreamAnswer(response).end(number === 0 ? rest.replace(done, "") : rest);
  });
  const breaks: StreamBreak[] = [];
  const events = await follow(server.url, { onBreak: (info) => breaks.push(info), maxFailures: 3 });
  expect(events.map(withoutCursor)).toEqual(shortRun);
  expect(server.arrived.map(({ query }) => query.get("after"))).toEqual([null, "1.2", "1.2"]);
  expect(breaks).toMatchObject([
    { failures: 1, failure: null },
    { failures: 2, failure: { status: 429, code: "too_many_streams" }, waitMs: 120 },
  ]);
});

test("connections that were well and are closed in the end are no failures, also not without any news", async () => {
  // The heartbeat is a fifth of what is taken for silence: a busy machine may be late by four.
  const silenceMs = 500;
  await using server = await serve((request, response, number) => {
    const stream = openStreamAnswer(response);
    if (number === 0) return beat(stream, { everyMs: 100, count: 7, after: () => stream.end() });
    if (number < 3) return beat(stream, { everyMs: 100, count: 7, after: () => stream.destroy() });
    stream.end(restOf(shortRun, request.query.get("after")));
  });
  const breaks: StreamBreak[] = [];
  const onBreak = (info: StreamBreak) => breaks.push(info);
  const events = await follow(server.url, { onBreak, maxFailures: 2 }, silenceMs);
  expect(events.map(withoutCursor)).toEqual(shortRun);
  expect(breaks).toMatchObject([
    { failures: 0, failure: null },
    { failures: 1, failure: { name: "ConnectionError" } },
    { failures: 1, failure: { name: "ConnectionError" } },
  ]);
});
