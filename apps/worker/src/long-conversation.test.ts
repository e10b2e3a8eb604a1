import { isPreviewEvent, type RunEvent } from "@cortex/contracts";
import { afterAll, beforeAll, expect, test } from "vitest";
import { isSummaryRequest, type PagingRequest, startPagingModel } from "./testing/paging-model.ts";
import { createWorkplace, type WorkerProcess, type Workplace } from "./testing/worker-fixture.ts";

let place: Workplace;
let model: Awaited<ReturnType<typeof startPagingModel>>;
/** Asked before the model answers; false: it does not. */
let onRequest: (request: PagingRequest) => boolean = () => true;
beforeAll(async () => {
  place = await createWorkplace();
  model = await startPagingModel(14, (request) => onRequest(request));
});
afterAll(async () => {
  await place.close();
  await model.close();
});

const aWorker = (): Promise<WorkerProcess> =>
  place.aWorker({
    MODEL_BASE_URL: model.url,
    CONTEXT_ASSUMED_WINDOW: "5000",
    RUN_LEASE_MS: "3000",
    RUN_HEARTBEAT_MS: "300",
    RUN_SWEEP_MS: "500",
  });

/** With the transaction that wrote each, which an update would change. */
const rowsOf = async (threadId: string) =>
  (
    await place.database.owner.query<{ id: string; xmin: string }>(
      "select id, xmin::text from cortex.messages where thread_id = $1 order by seq",
      [threadId],
    )
  ).rows;

const durable = (events: readonly RunEvent[]) =>
  events
    .filter((event) => !isPreviewEvent(event) && event.type !== "resync")
    .map(({ at: _at, seq: _seq, ...event }) => ({ ...event, duration_ms: 0 }));

test("a run outgrows its window, its worker dies behind the summary, and the next one goes on with it", async () => {
  const first = await aWorker();
  let rowsAtDeath: { id: string; xmin: string }[] = [];
  let summarised = false;
  const died = Promise.withResolvers<void>();
  const tools = ["calculator", "expand_message"];
  const started = await place.start("Read all pages.", { model: "nobody-knows-it", tools });
  onRequest = (request) => {
    summarised ||= isSummaryRequest(request);
    if (!summarised || isSummaryRequest(request)) return true;
    // The summary is committed: the model is asked with it. Its worker is gone before there is an answer.
    onRequest = () => true;
    first.signal("SIGKILL");
    died.resolve();
    return false;
  };
  await died.promise;
  await first.ended();
  rowsAtDeath = await rowsOf(started.threadId);
  const asked = model.requests.length;
  await aWorker();
  expect(await place.ended(started.runId, 60_000)).toMatchObject({ status: "completed", error: null });

  // The second attempt asked the same, and paid for no summary of what was summarised.
  expect(model.requests[asked]?.messages).toEqual(model.requests[asked - 1]?.messages);
  const { rows: summaries } = await place.database.owner.query<{ attempt: number; text: string; through_seq: number }>(
    "select attempt, text, through_seq from cortex.context_summaries where thread_id = $1 order by created_at",
    [started.threadId],
  );
  expect(summaries[0]).toMatchObject({ attempt: 1, text: "Pages were read; all is well." });
  expect(model.requests.filter(isSummaryRequest)).toHaveLength(summaries.length);
  expect(summaries.map((row) => row.through_seq)).toEqual(
    summaries.map((row) => row.through_seq).toSorted((left, right) => left - right),
  );

  // Nothing of the conversation was rewritten, and each page was read once.
  expect((await rowsOf(started.threadId)).slice(0, rowsAtDeath.length)).toEqual(rowsAtDeath);
  const events = await place.expectWholeLog(started.runId);
  const results = events.flatMap((event) => (event.type === "tool_call.completed" ? [event.result] : []));
  expect(results.map((result) => Number(/\d{4}/.exec(result)?.[0]))).toEqual(
    [...Array(14).keys()].map((page) => page + 1_000),
  );
  expect(events.filter((event) => event.type === "context.compacted")).toHaveLength(summaries.length);
  expect(durable(await place.rebuiltLog(started.runId))).toEqual(durable(events));

  // The thread's next run begins with the summary, and gets back what it stands for.
  const from = model.requests.length;
  const next = await place.start("Please recall page-0 now.", {
    threadId: started.threadId,
    model: "nobody-knows-it",
    tools,
  });
  expect(await place.ended(next.runId, 30_000)).toMatchObject({ status: "completed" });
  const [opening, recalled] = model.requests.slice(from);
  const sent = JSON.stringify(opening?.messages);
  expect(sent).toContain("Pages were read; all is well.");
  expect(sent).toContain("Read all pages.");
  expect(sent).not.toContain("On page 0:");
  expect(recalled?.messages.at(-1)).toMatchObject({ role: "tool", content: "1000" });
});
