import { isPreviewEvent, type RunEvent } from "@cortex/contracts";
import { anAgent } from "@cortex/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createWorkplace, type Workplace } from "./testing/worker-fixture.ts";

let place: Workplace;
beforeAll(async () => {
  place = await createWorkplace();
  await place.aWorker();
});
afterAll(() => place.close());

const durable = (events: readonly RunEvent[]) =>
  events
    .filter((event) => !isPreviewEvent(event) && event.type !== "resync")
    .map(({ at: _at, seq: _seq, ...event }) => ({ ...event, duration_ms: 0 }));

test("a model that the endpoint does not have gives way to the agent's next one; the log, rebuilt or not, and the step say so", async () => {
  const { agentId } = await anAgent(place.database.owner, {
    accountId: place.user.accountId,
    fallbackModels: ["demo"],
  });
  const { runId } = await place.start("[[say=Here I am.]]", { agentId, model: "gpt-gone" });
  expect(await place.ended(runId)).toMatchObject({ status: "completed" });

  const events = await place.expectWholeLog(runId);
  expect(events.find((event) => event.type === "step.started")).toMatchObject({ model: "gpt-gone" });
  const completed = events.find((event) => event.type === "step.completed");
  expect(completed).toMatchObject({ model: "demo" });
  const { rows } = await place.database.owner.query<{ model: string; cost: number }>(
    "select model, cost_usd::float8 as cost from cortex.run_steps where run_id = $1",
    [runId],
  );
  expect(rows.map(({ model }) => model)).toEqual(["demo"]);
  // The price is the fallback's: the run's own model has none.
  expect(rows[0]?.cost).toBeGreaterThan(0);
  expect(durable(await place.rebuiltLog(runId))).toEqual(durable(events));
});
