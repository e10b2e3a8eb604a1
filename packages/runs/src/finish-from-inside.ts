import { addUsd, type RunError, type StopReceipt, type TerminalRunStatus } from "@cortex/contracts";
import type { Db } from "@cortex/db";
import { sql } from "kysely";
import { answeredStep, answeredStepCompleted, answerMessage, chargeOf } from "./answer-writes.ts";
import { terminalEvent } from "./durable-events.ts";
import type { EngineAnswer, EngineOutcome, ModelCompleted, UnfinishedCall } from "./engine-events.ts";
import { discarded } from "./void-previews.ts";
import type { LogSink } from "./log-sink.ts";
import { inCallOrder, type OpenStep, resultMessages, settledCall, settlement, unfinishedCall } from "./open-step.ts";
import type { Outlast } from "./outlast.ts";
import { type EndWrite, noProgress } from "./progress.ts";
import type { RunRow } from "./run.ts";
import type { RunWriter } from "./run-writer.ts";

/** What an attempt holds that Postgres does not, when its run ends. */
export interface Unstored {
  /** The number of the model call that was under way, or would have been next. */
  step: number;
  /** What that call was asked with; see StepWrite. */
  seenSeq: number;
  open: OpenStep | null;
  /** An answer without tool calls, kept until it was known what follows. */
  last: ModelCompleted | null;
}

interface FinishDeps {
  db: Db;
  sink: LogSink;
  writer: RunWriter;
  outlast: Outlast;
}

interface FinishInput {
  run: RunRow;
  outcome: EngineOutcome;
  unstored: Unstored;
}

/**
 * Ends a run by the attempt that holds it: what is not stored yet, the terminal status, the release of the reservation and the raised
 * attempt in one transaction; then the events that close the log.
 * @throws PostedMeanwhile if the run has completed, but somebody posted while its last answer was written: nothing was written
 * @throws FencedError
 */
export const finishFromInside = async (
  deps: FinishDeps,
  input: FinishInput,
): Promise<{ status: TerminalRunStatus; cursor: string | null }> => {
  const { writer } = deps;
  const { run, outcome, unstored } = input;
  const { open, last, step } = unstored;
  const unreported = outcome.unreported;
  const ending = await endingOf(deps, input);
  writer.spend(unreported);
  const unfinished = unfinishedOf(outcome).map((call) => settledCall(open, unfinishedCall(call)));
  const settled = inCallOrder(open, [...(open?.unsettled ?? []), ...unfinished]);
  for (const call of unfinished) open?.results.set(call.tool_call_id, call);
  const interrupted = interruptedOf(outcome);
  const cut = interrupted && interrupted.text !== "" ? [answerMessage(step, interrupted)] : [];
  // The results of an open step are part of the conversation: the thread's next run must know what its tools have done.
  const messages = last ? [answerMessage(last.step, last.message)] : [...(open ? resultMessages(open) : []), ...cut];
  const written = await writer.write(
    {
      ...noProgress,
      messages,
      step: last ? answeredStep(last, { seenSeq: unstored.seenSeq, ended: true }) : null,
      settles: settled.map(settlement),
      end: ending,
    },
    last ? chargeOf(last) : unreported.cost_usd === "0" ? null : { step, costUsd: unreported.cost_usd },
  );
  const { usage, costUsd } = writer.totals();
  const base = writer.base();
  const terminal = terminalEvent({
    ...run,
    status: ending.status,
    attempt: written.fence.attempt,
    completed_at: written.fence.completedAt,
    usage: { ...usage },
    cost_usd: costUsd,
    error: ending.error,
    stop_receipt: ending.receipt,
  });
  const closing = [
    ...settled.map((call) => ({ ...call, ...base })),
    ...writer.completed(messages, written),
    ...(last ? [answeredStepCompleted(last, base)] : []),
    ...(interrupted && interrupted.text === "" ? [{ ...base, ...discarded(interrupted.id) }] : []),
    // Said now, like its predecessors: two clocks in one stream would have the end stand before what it ends.
    ...(terminal ? [{ ...terminal, at: writer.base().at }] : []),
  ];
  return { status: ending.status, cursor: await deps.sink.end(closing, written.fence.attempt) };
};

const interruptedOf = (outcome: EngineOutcome): EngineAnswer | null =>
  outcome.kind === "completed" ? null : outcome.interrupted;

const unfinishedOf = (outcome: EngineOutcome): readonly UnfinishedCall[] =>
  outcome.kind === "aborted" ? outcome.unfinished : [];

const endingOf = async ({ db, writer, outlast }: FinishDeps, { run, outcome }: FinishInput): Promise<EndWrite> => {
  const plain = { error: null, receipt: null, ifNextSeq: null };
  switch (outcome.kind) {
    case "completed":
      return { ...plain, status: "completed", ifNextSeq: writer.nextSeq() };
    case "failed": {
      const { code, message, retryable } = outcome;
      const error: RunError = { code, message, retryable };
      return { ...plain, status: "failed", error };
    }
    case "aborted": {
      const receipt: StopReceipt = {
        ...(await outlast(() => readStopTimes(db, { runId: run.id }))),
        aborted: [...outcome.aborted],
        killed: [...outcome.killed],
        // With the answer that was cut: it is paid for, too.
        charged_usd: addUsd(writer.totals().costUsd, outcome.unreported.cost_usd),
      };
      return { ...plain, status: "stopped", receipt };
    }
  }
};

/** By the clock of the database, like everything else that people compare with it. */
const readStopTimes = async (
  db: Db,
  input: { runId: string },
): Promise<Pick<StopReceipt, "requested_at" | "stopped_at">> => {
  const found = await sql<{ requested_at: Date | null; now: Date }>`
    select stop_requested_at as requested_at, clock_timestamp() as now from cortex.agent_runs
    where id = ${input.runId}`.execute(db);
  const now = found.rows[0]?.now ?? new Date();
  return { requested_at: (found.rows[0]?.requested_at ?? now).toISOString(), stopped_at: now.toISOString() };
};
