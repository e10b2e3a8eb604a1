import { eventually, startTraceCollector, type TraceCollector } from "@cortex/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createWorkplace, type WorkerProcess, type Workplace } from "./testing/worker-fixture.ts";

const keys = { publicKey: "pk-lf-test", secretKey: "sk-lf-secret" };
let place: Workplace;
let collector: TraceCollector;
let worker: WorkerProcess;
const env = () => ({
  LANGFUSE_PUBLIC_KEY: keys.publicKey,
  LANGFUSE_SECRET_KEY: keys.secretKey,
  LANGFUSE_BASE_URL: collector.url,
  OTLP_TRACES_URL: `${collector.url}/v1/traces`,
  RUN_LEASE_MS: "3000",
  MODEL_API_KEY: "canary-of-the-model",
});
beforeAll(async () => {
  [place, collector] = await Promise.all([createWorkplace(), startTraceCollector(keys)]);
  worker = await place.aWorker(env());
});
afterAll(async () => {
  await place.close();
  await collector.close();
});

const traceOf = (runId: string) => collector.spans().filter((span) => span.traceId === runId.replaceAll("-", ""));
const costOf = (spans: ReturnType<typeof traceOf>) =>
  spans
    .map(
      (span) => JSON.parse(String(span.attributes["langfuse.observation.cost_details"] ?? "{}")) as { total?: number },
    )
    .reduce((sum, { total = 0 }) => sum + total, 0);

test("a run that its first worker died in has one trace, with every step, tool and cent", async () => {
  const { runId } = await place.start('[[tool=calculator {"expression":"6 * 7"}]] [[tokens=400]] [[delay=5]] go on');
  await eventually(async () => (await place.events(runId)).some((event) => event.type === "step.completed"));
  worker.signal("SIGKILL");
  await worker.ended();
  worker = await place.aWorker(env());
  const row = await place.ended(runId, 40_000);
  expect(row.attempt).toBeGreaterThan(2);
  await eventually(() => traceOf(runId).length > 0, { timeoutMs: 30_000 });
  const spans = traceOf(runId);
  const { rows } = await place.database.owner.query<{ steps: number; cost: number }>(
    `select (select count(*)::int from cortex.run_steps where run_id = $1) as steps, cost_usd::float8 as cost
     from cortex.agent_runs where id = $1`,
    [runId],
  );
  expect(spans.filter((span) => span.name.startsWith("step "))).toHaveLength(rows[0]?.steps ?? -1);
  expect(spans.map((span) => span.name)).toContain("calculator");
  expect(costOf(spans)).toBeCloseTo(rows[0]?.cost ?? -1, 8);
  expect(collector.complaints).toEqual([]);
  expect(JSON.stringify(spans)).not.toContain("canary-of-the-model");
  // Both targets have it.
  await eventually(() => new Set(collector.requests.map((request) => request.path)).size === 2);
});

// One that hangs is the same to whoever sends, some seconds later: packages/traces.
test("a target that is away changes nothing about a run, and gets its trace when it is back", async () => {
  collector.mood = "away";
  const { runId } = await place.start("hello");
  expect(await place.ended(runId)).toMatchObject({ status: "completed" });
  await eventually(() => worker.output().includes("a trace could not be sent"), { timeoutMs: 30_000 });
  expect(traceOf(runId)).toEqual([]);

  collector.mood = "fine";
  // Not to wait for the next try.
  const dueNow = () =>
    place.database.owner.query("update cortex.agent_runs set trace_due_at = now() where trace_due_at is not null");
  await eventually(
    async () => {
      await dueNow();
      return traceOf(runId).length > 0;
    },
    { timeoutMs: 60_000 },
  );
  expect(worker.output()).not.toContain(keys.secretKey);
});
