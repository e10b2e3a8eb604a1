import { aMessage, aRun } from "@cortex/testing";
import { afterAll, expect, test } from "vitest";
import { startRun } from "./start-run.ts";
import { createRunFixture, startInput } from "./testing/run-fixture.ts";

const fixture = await createRunFixture();
const { database, aStart, deps } = fixture;
afterAll(() => fixture.close());

type Place = Awaited<ReturnType<typeof aStart>>;

const answer = (place: { threadId: string }, runId?: string) =>
  aMessage(database.owner, {
    ...place,
    role: "assistant",
    text: "15",
    ...(runId === undefined ? {} : { runId, step: 0 }),
  });
const withoutPrompt = (place: Place) => startRun(deps(), startInput({ ...place, prompt: null }));

test("a thread whose last message is a whole answer has nothing to ask, until somebody posts", async () => {
  const place = await aStart({ planId: "local" });
  await aMessage(database.owner, { threadId: place.threadId });
  const { runId } = await aRun(database.owner, { thread: place, status: "completed" });
  await answer(place, runId);
  await expect(withoutPrompt(place)).rejects.toMatchObject({ code: "thread_answered" });
  // The run may have been deleted since.
  await database.owner.query("delete from cortex.agent_runs where id = $1", [runId]);
  await expect(withoutPrompt(place)).rejects.toMatchObject({ code: "thread_answered" });
  const runs = await database.owner.query("select 1 from cortex.agent_runs where thread_id = $1", [place.threadId]);
  expect(runs.rowCount).toBe(0);

  await aMessage(database.owner, { threadId: place.threadId, text: "And twice that?" });
  expect(await withoutPrompt(place)).toMatchObject({ thread_id: place.threadId, status: "queued" });
});

test("with a prompt it goes on as ever", async () => {
  const place = await aStart({ planId: "local" });
  await aMessage(database.owner, { threadId: place.threadId });
  await answer(place);
  expect(await startRun(deps(), startInput(place))).toMatchObject({ status: "queued" });
});

test("what a failed or stopped run has left may be continued: an answer, half an answer, a tool's result", async () => {
  const { owner } = database;
  const left = {
    nothing: async () => null,
    answer: (threadId: string, runId: string) => answer({ threadId }, runId),
    halfAnAnswer: async (threadId: string, runId: string) => {
      const { messageId } = await answer({ threadId }, runId);
      await owner.query("update cortex.messages set status = 'interrupted' where id = $1", [messageId]);
    },
    toolResult: (threadId: string, runId: string) =>
      aMessage(owner, { threadId, runId, step: 0, role: "tool", toolCallId: "call-1", text: "15" }),
  };
  const cases = Object.values(left).flatMap((leave) =>
    (["failed", "stopped"] as const).map((status) => ({ leave, status })),
  );
  for (const { leave, status } of cases) {
    const place = await aStart({ planId: "local" });
    await aMessage(owner, { threadId: place.threadId });
    const { runId } = await aRun(owner, { thread: place, status });
    await leave(place.threadId, runId);
    expect(await withoutPrompt(place)).toMatchObject({ status: "queued" });
  }
});
