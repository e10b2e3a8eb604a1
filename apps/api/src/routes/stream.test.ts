import { type Problem, RunEvent } from "@cortex/contracts";
import { aMember, anAccount, aRun, aThread, eventually, type TestRun } from "@cortex/testing";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { type ApiUnderTest, type Person, startApiUnderTest } from "../testing/api-under-test.ts";
import { aWriter as writerOf, completed, delta } from "../testing/written-log.ts";
import { type OpenStream, openStream } from "../testing/stream-client.ts";

let api: ApiUnderTest;
let alice: Person;
beforeAll(async () => {
  api = await startApiUnderTest();
  alice = await api.person();
});
afterAll(() => api.close());

const aRunning = (of: ApiUnderTest = api, person = alice): Promise<TestRun> =>
  aRun(of.database.owner, { accountId: person.accountId, status: "running" });

const aWriter = (runId: string, of: ApiUnderTest = api) => writerOf(of, runId);
const logOf = async (runId: string, of: ApiUnderTest = api): Promise<string[]> =>
  (await of.services.eventLog.read({ runId, from: 0, limit: 1_000_000 }))?.entries ?? [];
const withIds = (entries: string[], epoch = 1, from = 0) =>
  entries.map((data, index) => ({ id: `${epoch}.${from + index}`, event: null, data }));
const done = { id: null, event: "done", data: "{}" };
const nobodyFollows = (of: ApiUnderTest = api) => eventually(() => of.services.tails.size() === 0);

test("a follower gets the head, the log as it stands, what is appended, then done and the end", async () => {
  const { runId } = await aRunning();
  const write = await aWriter(runId);
  await write(delta(runId, "Hello"), delta(runId, " wörld\n✓"));
  const stream = await openStream(api, { runId, as: alice });
  expect(stream.response.status).toBe(200);
  expect(Object.fromEntries(stream.response.headers)).toMatchObject({
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-cache, no-transform",
    "x-accel-buffering": "no",
    "x-content-type-options": "nosniff",
    "x-request-id": expect.any(String) as unknown,
  });
  const first = [await stream.next(), await stream.next(), await stream.next()];
  expect(stream.text().startsWith("retry: 1000\n\nid: 1.0\ndata: {")).toBe(true);
  await write(delta(runId, "!"), completed(runId));
  const frames = [...first, ...(await stream.rest())];

  const log = await logOf(runId);
  expect(log).toHaveLength(5);
  expect(frames).toEqual([...withIds(log), done]);
  for (const entry of log) RunEvent.parse(JSON.parse(entry));
  await nobodyFollows();
});

test("followers that reconnect anywhere get exactly the rest, however they name their cursor", async () => {
  const { runId } = await aRunning();
  const write = await aWriter(runId);
  const follower = async (seed: number): Promise<unknown[]> => {
    const frames: { id: string | null; event: string | null; data: string }[] = [];
    let cursor: string | null = null;
    for (let connections = 0; ; connections++) {
      const named = connections % 2 === 0 ? { lastEventId: cursor ?? "" } : { query: `?after=${cursor ?? ""}` };
      const stream = await openStream(api, { runId, as: alice, ...named });
      if (stream.response.status === 204) return frames;
      for (let budget = 1 + ((seed * 31 + connections * 17) % 23); budget > 0; budget--) {
        const frame = await stream.next();
        if (!frame) break;
        frames.push(frame);
        cursor = frame.id ?? cursor;
      }
      stream.abort();
    }
  };
  const following = Array.from({ length: 8 }, (_, seed) => follower(seed));
  for (let each = 0; each < 300; each++) await write(delta(runId, String(each)));
  await write(completed(runId));
  const log = withIds(await logOf(runId));
  for (const frames of await Promise.all(following)) {
    const events = frames.filter((frame) => (frame as { event: string | null }).event === null);
    expect(events).toEqual(log);
  }
  await nobodyFollows();
});

test("a run that nobody has written a log for is told from Postgres", async () => {
  const { runId } = await aRun(api.database.owner, { accountId: alice.accountId });
  const stream = await openStream(api, { runId, as: alice });
  expect(JSON.parse((await stream.next())?.data ?? "")).toMatchObject({ type: "run.queued", seq: 0, run_id: runId });
  await api.call("POST", `/agent-run/${runId}/stop`, { as: alice });
  const rest = await stream.rest();
  expect(rest.at(-1)).toEqual(done);
  expect(JSON.parse(rest.at(-2)?.data ?? "")).toMatchObject({ type: "run.stopped", run_id: runId });
});

test("a log that was lost comes back under the next epoch, to old cursors from its start", async () => {
  // Attempt 1 has worked, the end raised the number.
  const { runId } = await aRun(api.database.owner, { accountId: alice.accountId, status: "completed", attempt: 2 });
  const stream = await openStream(api, { runId, as: alice, lastEventId: "1.7" });
  const frames = await stream.rest();
  expect(frames.map((frame) => frame.id)).toEqual([...frames.slice(0, -1).map((_, seq) => `2.${seq}`), null]);
  expect(JSON.parse(frames[0]?.data ?? "")).toMatchObject({ type: "resync", seq: 0 });
  expect(frames.at(-1)).toEqual(done);
});

test("a log that Redis has lost the end of is known by the noted end, and comes back whole", async () => {
  const { runId } = await aRun(api.database.owner, { accountId: alice.accountId, status: "completed", attempt: 2 });
  const write = await aWriter(runId);
  await write(delta(runId, "Hel"));
  await api.database.owner.query("update cortex.agent_runs set log_cursor = '1.5' where id = $1", [runId]);
  // Both at once share a tail; the second cursor is of the part that is gone.
  const streams = ["", "1.4"].map((lastEventId) => openStream(api, { runId, as: alice, lastEventId }));
  for (const stream of await Promise.all(streams)) {
    expect(stream.response.status).toBe(200);
    const frames = await stream.rest();
    expect(frames.map((frame) => frame.id)).toEqual([...frames.slice(0, -1).map((_, seq) => `2.${seq}`), null]);
    expect(frames.at(-1)).toEqual(done);
  }
});

test("cursors that are none, or of a future: 400 before the stream begins", async () => {
  const { runId } = await aRunning();
  await aWriter(runId);
  for (const cursor of [
    "1",
    "1.",
    "0.0",
    "1.-1",
    "01.0",
    "1.0 ",
    "a.b",
    "1.0.0",
    "1.1",
    "2.0",
    "999999999.0",
    "9999999999.0",
    "1.0,1.0",
  ]) {
    const stream = await openStream(api, { runId, as: alice, query: `?after=${encodeURIComponent(cursor)}` });
    const problem = (await stream.response.json()) as Problem;
    expect([cursor, stream.response.status, problem.code]).toEqual([cursor, 400, "invalid_cursor"]);
  }
  await nobodyFollows();
});

test("HEAD has the answer's status and holds nothing", async () => {
  const { runId } = await aRunning();
  await aWriter(runId);
  const url = `${api.url}/api/agent-run/${runId}/stream`;
  const head = await fetch(url, { method: "HEAD", headers: { authorization: `Bearer ${alice.token}` } });
  expect(head.status).toBe(200);
  expect(api.services.tails.size()).toBe(0);
});

test("somebody else's run: 404", async () => {
  const { runId } = await aRunning();
  const bob = await api.person();
  expect((await api.call("GET", `/agent-run/${runId}/stream`, { as: bob })).status).toBe(404);
});

test("without Redis the end is still known: 204; anything else is 503 before the stream begins", async () => {
  const alone = await startApiUnderTest({ env: { REDIS_URL: "redis://127.0.0.1:1" } });
  onTestFinished(async () => void (await alone.close()));
  const person = await alone.person();
  const { runId } = await aRun(alone.database.owner, { accountId: person.accountId, status: "completed" });
  await alone.database.owner.query("update cortex.agent_runs set log_cursor = '1.41' where id = $1", [runId]);
  const answers = await Promise.all(
    ["1.41", "1.40"].map((cursor) => openStream(alone, { runId, as: person, lastEventId: cursor })),
  );
  expect(answers.map(({ response }) => response.status)).toEqual([204, 503]);
  expect(await answers[1]?.response.json()).toMatchObject({ code: "unavailable", retryable: true });
  expect(alone.services.tails.size()).toBe(0);
});

test("a client that goes takes everything with it", async () => {
  const { runId } = await aRunning();
  await aWriter(runId);
  const streams = await Promise.all(Array.from({ length: 20 }, () => openStream(api, { runId, as: alice })));
  await Promise.all(streams.map((stream) => stream.next()));
  expect(api.services.tails.size()).toBe(1);
  for (const stream of streams) stream.abort();
  await nobodyFollows();
});

test("a comment goes out when nothing else does, and a stream ends with the right to see it", async () => {
  const quick = await startApiUnderTest({ timings: { heartbeatMs: 20, recheckMs: 50, patienceMs: 30_000 } });
  onTestFinished(async () => void (await quick.close()));
  const person = await quick.person();
  const { accountId } = await anAccount(quick.database.owner);
  await aMember(quick.database.owner, { accountId, userId: person.userId });
  const run = await aRun(quick.database.owner, { accountId, status: "running" });
  await aWriter(run.runId, quick);
  const stream = await openStream(quick, { runId: run.runId, as: person });
  await stream.next();
  const ending = stream.rest();
  await eventually(() => stream.text().includes("\n\n: hb\n\n: hb\n\n"));
  await quick.database.owner.query("delete from cortex.account_members where user_id = $1 and account_id = $2", [
    person.userId,
    accountId,
  ]);
  expect(await ending).toEqual([]);

  const { runId } = await aRunning(quick, person);
  await aWriter(runId, quick);
  const ends = { sub: person.userId, exp: Math.floor(Date.now() / 1_000) + 1 };
  const expiring = { ...person, token: await quick.project.token(ends) };
  const short = await openStream(quick, { runId, as: expiring });
  expect((await short.rest()).map((frame) => frame.id)).toEqual(["1.0"]);
  await nobodyFollows(quick);
});

test("a user who has all the streams that one may have is refused the next, and nobody else is", async () => {
  const few = await startApiUnderTest({
    env: { STREAMS_PER_RUN: "2", STREAMS_PER_USER: "3", STREAMS_PER_PROCESS: "4" },
    timings: { slots: { renewMs: 3_600_000, ttlMs: 3_600_000, stayMs: 3_600_000 } },
  });
  onTestFinished(async () => void (await few.close()));
  const [person, other] = [await few.person(), await few.person()];
  const aFollowed = async (by = person): Promise<string> => {
    const { runId } = await aRunning(few, by);
    await aWriter(runId, few);
    return runId;
  };
  const runId = await aFollowed();
  const open = (id = runId, as = person, query = "") => openStream(few, { runId: id, as, query });
  const refusalOf = async (stream: Promise<OpenStream>) => {
    const { response } = await stream;
    const { code, retryable } = (await response.json()) as Problem;
    return { status: response.status, code, retryable, comeBack: Number(response.headers.get("retry-after")) };
  };
  const refused = { status: 429, code: "too_many_streams", retryable: true, comeBack: expect.any(Number) as unknown };

  const [first, second] = [await open(), await open()];
  await Promise.all([first, second].map((stream) => stream.next()));
  const third = await refusalOf(open());
  expect(third).toEqual(refused);
  expect(third.comeBack).toBeGreaterThan(3_000);
  // What shows nothing holds nothing, and what is wrong is said first.
  const url = `${few.url}/api/agent-run/${runId}/stream`;
  expect((await fetch(url, { method: "HEAD", headers: { authorization: `Bearer ${person.token}` } })).status).toBe(200);
  expect((await open(runId, other)).response.status).toBe(404);
  const elsewhere = await aFollowed();
  expect((await open(elsewhere, person, "?after=1.99")).response.status).toBe(400);
  const another = await open(elsewhere);
  expect(await refusalOf(open(elsewhere))).toEqual(refused);

  const others = await open(await aFollowed(other), other);
  expect([another.response.status, others.response.status, few.services.slots.size()]).toEqual([200, 200, 4]);
  expect(await refusalOf(open(await aFollowed(other), other))).toEqual({ ...refused, comeBack: 1 });
  for (const stream of [second, another, others]) stream.abort();
  await eventually(() => few.services.slots.size() === 1 && few.services.tails.size() === 1);
  expect((await open()).response.status).toBe(200);
});

test("the newest stream of a user gets the place of the oldest, whose client comes back with its cursor", async () => {
  const few = await startApiUnderTest({
    env: { STREAMS_PER_RUN: "1" },
    timings: { slots: { renewMs: 50, ttlMs: 3_600_000, stayMs: 0 } },
  });
  onTestFinished(async () => void (await few.close()));
  const person = await few.person();
  const { runId } = await aRunning(few, person);
  const write = await aWriter(runId, few);
  const ghost = await openStream(few, { runId, as: person });
  await ghost.next();
  const tab = await openStream(few, { runId, as: person });
  expect([tab.response.status, await ghost.rest()]).toEqual([200, []]);
  await write(completed(runId));
  expect((await tab.rest()).map((frame) => frame.id)).toEqual(["1.0", "1.1", null]);
  await nobodyFollows(few);
  expect(few.services.slots.size()).toBe(0);
});

test("a connection that was open for long is closed without done, and its client goes on from its cursor", async () => {
  const quick = await startApiUnderTest({ timings: { longestMs: 300 } });
  onTestFinished(async () => void (await quick.close()));
  const person = await quick.person();
  const { runId } = await aRunning(quick, person);
  const write = await aWriter(runId, quick);
  const long = await openStream(quick, { runId, as: person });
  expect((await long.rest()).map((frame) => frame.id)).toEqual(["1.0"]);
  await write(completed(runId));
  const next = await openStream(quick, { runId, as: person, lastEventId: "1.0" });
  expect((await next.rest()).map((frame) => frame.id)).toEqual(["1.1", null]);
});

test("a process that stops ends its streams without done", async () => {
  const stopping = await startApiUnderTest();
  const person = await stopping.person();
  const { runId } = await aRunning(stopping, person);
  await aWriter(runId, stopping);
  const streams = await Promise.all(Array.from({ length: 10 }, () => openStream(stopping, { runId, as: person })));
  await Promise.all(streams.map((stream) => stream.next()));
  expect(await stopping.close()).toBe(true);
  expect(await Promise.all(streams.map((stream) => stream.rest()))).toEqual(streams.map(() => []));
});

test("what a thread's runs say is told to each follower of each run, and to nobody else", async () => {
  const { owner } = api.database;
  const runs = await Promise.all(
    Array.from(
      { length: 5 },
      async () =>
        (await aRun(owner, { thread: await aThread(owner, { accountId: alice.accountId }), status: "running" })).runId,
    ),
  );
  const streams = await Promise.all(
    runs.map(async (runId) => {
      const write = await aWriter(runId);
      const stream = await openStream(api, { runId, as: alice });
      await write(delta(runId, runId), completed(runId));
      return stream.rest();
    }),
  );
  const said = streams.map(
    (frames) => new Set(frames.slice(0, -1).map((frame) => (JSON.parse(frame.data) as RunEvent).run_id)),
  );
  expect(said).toEqual(runs.map((runId) => new Set([runId])));
});
