import type { ServerResponse } from "node:http";
import { noUsage, Run, type Thread } from "@cortex/contracts";
import { eventually } from "@cortex/testing";
import { expect, test } from "vitest";
import { type ClientOptions, createClient } from "./client.ts";
import { everyItem } from "./every-item.ts";
import { ConnectionError, UnexpectedAnswerError } from "./failures.ts";
import { type Answer, json, problem, serve } from "./testing/http-server.ts";
import { runId, threadId } from "./testing/recorded-log.ts";

/** Patience of a test: retries come at once. */
const timing = { retryMs: 1, longestRetryMs: 2_000 };

const clientOf = (baseUrl: string, more: Partial<ClientOptions> = {}) =>
  createClient({ baseUrl, token: "secret", timing, ...more });

const at = "2026-11-20T12:00:00.000Z";
const thread = {
  id: threadId,
  project_id: threadId,
  title: "",
  metadata: {},
  active_run_id: null,
  created_at: at,
  updated_at: at,
} as Thread;
const run = Run.parse({
  id: runId,
  thread_id: threadId,
  project_id: threadId,
  account_id: threadId,
  agent_id: threadId,
  agent_version_id: threadId,
  status: "completed",
  attempt: 1,
  model: "demo",
  usage: noUsage,
  cost_usd: "0.1",
  budget: null,
  error: null,
  stop: null,
  queue: null,
  approvals: [],
  metadata: {},
  request_id: "r",
  created_at: at,
  started_at: at,
  completed_at: at,
});
const started = { agent_run_id: runId, thread_id: threadId, status: "queued" };

/** Fails so often, then answers. */
const after =
  (failures: number, fail: (response: ServerResponse) => void, answer: Answer): Answer =>
  (request, response, number) =>
    number < failures ? fail(response) : answer(request, response, number);

const cutOff = (response: ServerResponse): void => {
  response.destroy();
};

test("a call: path, method, JSON, token and account; the answer is an object of the contract", async () => {
  await using server = await serve((_, response) => json(response, 202, { ...started, and: "more" }));
  const client = clientOf(`${server.url}/`, { accountId: "44444444-4444-4444-8444-444444444444" });
  expect(await client.startRun(threadId, { prompt: "Grüße" })).toEqual(started);
  expect(server.arrived).toMatchObject([
    {
      method: "POST",
      path: `/api/thread/${threadId}/agent/start`,
      headers: {
        authorization: "Bearer secret",
        "content-type": "application/json",
        "x-account-id": "44444444-4444-4444-8444-444444444444",
      },
      body: JSON.stringify({ prompt: "Grüße" }),
    },
  ]);
});

test("what is not given is not sent", async () => {
  await using server = await serve((_, response) => json(response, 200, { data: [run], next_cursor: null }));
  const client = clientOf(server.url);
  expect(await client.listRuns({ status: "completed", thread_id: undefined, limit: 10, cursor: null })).toEqual({
    data: [run],
    next_cursor: null,
  });
  expect([...(server.arrived[0]?.query ?? [])]).toEqual([
    ["status", "completed"],
    ["limit", "10"],
  ]);
  expect(server.arrived[0]?.headers).not.toHaveProperty("x-account-id");
  expect(server.arrived[0]?.headers).not.toHaveProperty("content-type");
  expect(server.arrived[0]?.headers).not.toHaveProperty("idempotency-key");
});

test("a change of a tool for an agent: the name in the path, the agent in the query, the change in the body", async () => {
  await using server = await serve((_, response) => void response.writeHead(204).end());
  const client = clientOf(server.url);
  await client.resetTool("calculator");
  const changed = client.updateTool("a/b", { enabled: false, description: null }, { agent_id: threadId });
  // 204 is no answer to a change.
  await expect(changed).rejects.toBeInstanceOf(UnexpectedAnswerError);
  expect(server.arrived.map(({ method, path, query, body }) => [method, path, [...query], body])).toEqual([
    ["DELETE", "/api/tools/calculator/settings", [], ""],
    ["PATCH", "/api/tools/a%2Fb", [["agent_id", threadId]], '{"enabled":false,"description":null}'],
  ]);
});

test("an id is data: it cannot become another path", async () => {
  await using server = await serve((_, response) => problem(response, 404, "not_found"));
  await expect(clientOf(server.url).getRun("../me?x=1#")).rejects.toMatchObject({ code: "not_found" });
  expect(server.arrived[0]?.path).toBe("/api/agent-run/..%2Fme%3Fx%3D1%23");
});

test("a token function is asked for each try", async () => {
  await using server = await serve(after(2, cutOff, (_, response) => json(response, 200, run)));
  let tokens = 0;
  await clientOf(server.url, { token: () => `token-${(tokens += 1)}` }).getRun(runId);
  expect(server.arrived.map(({ headers }) => headers.authorization)).toEqual([
    "Bearer token-1",
    "Bearer token-2",
    "Bearer token-3",
  ]);
});

test("a creating call is repeated under one key of its own, until the first try lets go of it", async () => {
  await using server = await serve((_, response, number) => {
    if (number === 0) return cutOff(response);
    if (number === 1) return problem(response, 409, "idempotency_key_in_use", { retryable: true });
    return json(response, 202, started);
  });
  const client = clientOf(server.url);
  await client.startRun(threadId, { prompt: "a" });
  await client.startRun(threadId, { prompt: "a" });
  const keys = server.arrived.map(({ headers }) => headers["idempotency-key"]);
  expect(keys).toHaveLength(4);
  expect(keys[0]).toMatch(/^[0-9a-f]{32}$/);
  expect(new Set(keys.slice(0, 3)).size).toBe(1);
  expect(keys[3]).not.toBe(keys[0]);
});

test("a caller's own key is taken; without any key a creating call is sent once", async () => {
  await using server = await serve((_, response) => cutOff(response));
  const client = clientOf(server.url, { idempotencyKeys: null });
  await expect(client.createThread()).rejects.toBeInstanceOf(ConnectionError);
  expect(server.arrived).toHaveLength(1);
  await expect(client.createThread({}, { idempotencyKey: "mine" })).rejects.toBeInstanceOf(ConnectionError);
  expect(server.arrived.slice(1).map(({ headers }) => headers["idempotency-key"])).toEqual(Array(4).fill("mine"));
});

test("a change is sent once; a stop, which may be repeated, is", async () => {
  await using server = await serve((_, response) => problem(response, 503, "unavailable", { retryable: true }));
  const client = clientOf(server.url);
  await expect(client.updateThread(threadId, { title: "b" })).rejects.toMatchObject({ code: "unavailable" });
  await expect(client.deleteThread(threadId)).rejects.toMatchObject({ code: "unavailable" });
  expect(server.arrived.map(({ method }) => method)).toEqual(["PATCH", "DELETE"]);
  await expect(client.stopRun(runId)).rejects.toMatchObject({ code: "unavailable" });
  expect(server.arrived).toHaveLength(2 + 4);
});

test("`Retry-After` is waited out when it is short, and handed to the caller when it is not", async () => {
  const times: number[] = [];
  await using server = await serve((_, response, number) => {
    times.push(performance.now());
    if (number === 0) return problem(response, 503, "unavailable", { retryable: true, retry_after_ms: 300 });
    if (number === 1) return json(response, 200, run);
    return problem(response, 429, "too_many_runs", { retryable: true, retry_after_ms: 5_000 });
  });
  const client = clientOf(server.url);
  await client.getRun(runId);
  expect((times[1] ?? 0) - (times[0] ?? 0)).toBeGreaterThan(295);
  await expect(client.startRun(threadId)).rejects.toMatchObject({ code: "too_many_runs", retryAfterMs: 5_000 });
  expect(server.arrived).toHaveLength(3);
});

test("an answer that breaks off, or does not come, is no answer", async () => {
  await using broken = await serve((_, response) => {
    response.writeHead(200, { "content-type": "application/json" });
    response.write('{"id":', () => response.destroy());
  });
  await expect(clientOf(broken.url).getRun(runId)).rejects.toBeInstanceOf(ConnectionError);
  expect(broken.arrived).toHaveLength(4);

  await using silent = await serve(() => {});
  const patient = clientOf(silent.url, { timing: { ...timing, answerMs: 50, tries: 2 } });
  await expect(patient.getRun(runId)).rejects.toThrow(`GET /agent-run/${runId}: no answer within 50 ms`);
  expect(silent.arrived).toHaveLength(2);

  const nobody = await serve(() => {});
  await nobody[Symbol.asyncDispose]();
  await expect(clientOf(nobody.url).me()).rejects.toThrow(/GET \/me: .*ECONNREFUSED/);
});

test("an aborted call throws its signal's reason and leaves nothing open", async () => {
  const closed: number[] = [];
  await using server = await serve((_, response, number) => {
    response.on("close", () => closed.push(number));
  });
  const client = clientOf(server.url);
  await expect(client.me({ signal: AbortSignal.abort(new Error("early")) })).rejects.toThrow("early");
  expect(server.arrived).toHaveLength(0);
  const leave = new AbortController();
  const waiting = client.me({ signal: leave.signal });
  await Promise.all([
    expect(waiting).rejects.toThrow("late"),
    eventually(() => server.arrived.length === 1).then(() => leave.abort(new Error("late"))),
  ]);
  await eventually(() => closed.length === 1);

  await using refusing = await serve((_, response) => {
    response.writeHead(400, { "content-type": "application/problem+json" }).write("{");
  });
  const giveUp = new AbortController();
  const half = (...arguments_: Parameters<typeof fetch>) =>
    fetch(...arguments_).finally(() => giveUp.abort(new Error("half way")));
  const refused = clientOf(refusing.url, { fetch: half }).me({ signal: giveUp.signal });
  await expect(refused).rejects.toThrow("half way");
});

test("a token that never comes does not hang the call", async () => {
  await using server = await serve((_, response) => json(response, 200, run));
  const stuck = clientOf(server.url, {
    token: () => new Promise(() => {}),
    timing: { ...timing, answerMs: 30, tries: 1 },
  });
  await expect(stuck.getRun(runId)).rejects.toBeInstanceOf(ConnectionError);
});

test("an answer that is not the contract's is told with its place", async () => {
  await using server = await serve((_, response, number) =>
    number === 0 ? json(response, 200, { ...run, status: "asleep" }) : void response.end("<html>"),
  );
  const client = clientOf(server.url);
  await expect(client.getRun(runId)).rejects.toThrow(/GET \/agent-run\/.*: the answer at \/status: /);
  await expect(client.getRun(runId)).rejects.toThrow(UnexpectedAnswerError);
  expect(server.arrived).toHaveLength(2);
});

test("a deletion has no answer", async () => {
  await using server = await serve((_, response) => void response.writeHead(204).end());
  expect(await clientOf(server.url).deleteRun(runId)).toBeUndefined();
});

test("a first prompt goes as a form, with its files by name", async () => {
  const answer = { project_id: threadId, thread_id: threadId, agent_run_id: runId };
  await using server = await serve(after(1, cutOff, (_, response) => json(response, 202, answer)));
  const files = [new File(["one"], "one.txt"), { name: "zwei.txt", content: new Blob(["two"]) }];
  expect(await clientOf(server.url).initiateRun({ prompt: "summarise", files })).toEqual(answer);
  const [first, second] = server.arrived;
  expect(first?.headers["idempotency-key"]).toBe(second?.headers["idempotency-key"]);
  expect(second?.headers["content-type"]).toMatch(/^multipart\/form-data; boundary=/);
  expect(second?.body).toContain('name="prompt"\r\n\r\nsummarise');
  expect(second?.body).toContain('name="files"; filename="one.txt"');
  expect(second?.body).toContain('name="files"; filename="zwei.txt"');
  expect(second?.body).not.toContain("undefined");
});

test("every item of a list, page by page", async () => {
  await using server = await serve((request, response) => {
    const cursor = request.query.get("cursor");
    json(response, 200, {
      data: [{ ...thread, title: cursor ?? "first" }],
      next_cursor: cursor === null ? "second" : null,
    });
  });
  const client = clientOf(server.url);
  const threads = await Array.fromAsync(everyItem((cursor) => client.listThreads({ cursor })));
  expect(threads.map(({ title }) => title)).toEqual(["first", "second"]);
});
