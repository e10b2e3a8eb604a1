import { addUsd, type RunError, type StopReceipt, type TerminalRunStatus, type UnplacedEvent } from "@cortex/contracts";
import type { Db } from "@cortex/db";
import { sql } from "kysely";
import { terminalEvent } from "./durable-events.ts";
import type {
  EngineAnswer,
  EngineEvent,
  EngineOutcome,
  ModelCompleted,
  StepCompleted,
  ToolCallCompleted,
  UnfinishedCall,
} from "./engine-events.ts";
import { type OpenStep, openStep, resultMessages, settlement, unfinishedCall } from "./open-step.ts";
import { type NewMessage, noProgress, type StepWrite } from "./progress.ts";
import type { RunRow } from "./run.ts";
import { createRunWriter, PostedMeanwhile } from "./run-writer.ts";

/** The live log as one attempt writes it; packages/events fits. */
export interface LogSink {
  /** A preview: may be merged with its neighbours, and left out beyond the log's bound. */
  preview(event: UnplacedEvent): Promise<void> | void;
  /** Resolves when the events are in the log, in order, after everything before them. They are in Postgres already. */
  durable(events: readonly UnplacedEvent[]): Promise<void>;
  /** The same for the events that close the log, under the attempt that ending the run has raised. Returns the last cursor; null if the
   * log could not be reached, then a sweep closes it. */
  end(events: readonly UnplacedEvent[], attempt: number): Promise<string | null>;
}

export interface Recorder {
  /** Records one event of the engine. The engine must not go on before the promise has resolved. */
  record(event: EngineEvent): Promise<void> | void;
  /** Has somebody posted to the thread since this was last asked? */
  posted(): boolean;
  /** What the last settlement left on the account; null before the first. */
  balanceUsd(): string | null;
  /** The seq of the thread's next message, as of the last write. */
  nextSeq(): number;
  /**
   * Ends the run. `posted`: a message came in while the last answer was written, so the run goes on instead; its step is stored. Read the
   * conversation again and continue.
   */
  finish(
    outcome: EngineOutcome,
    stop: { killed: readonly string[] } | null,
  ): Promise<{ kind: "ended"; status: TerminalRunStatus; cursor: string | null } | { kind: "posted" }>;
}

interface Ending {
  status: TerminalRunStatus;
  error: RunError | null;
  receipt: StopReceipt | null;
  ifNextSeq: number | null;
}

/**
 * Turns what an engine yields into rows and log entries: one transaction where the model has answered (message, usage, money, claims of the
 * tool calls, before any of them acts), one where a step ends, one where the run ends; then the events. What stands in the live log is in
 * Postgres first, previews excepted.
 *
 * An answer without tool calls is kept until it is known what follows, so that the last step and the end of the run are one transaction.
 */
export const createRecorder = (
  deps: { db: Db; sink: LogSink },
  input: { run: RunRow; nextSeq: number; firstStep: number; resumed: OpenStep | null },
): Recorder => {
  const { run } = input;
  const { sink } = deps;
  const writer = createRunWriter(deps.db, run, { nextSeq: input.nextSeq });
  let step = input.firstStep;
  /** What the model was asked with; see StepWrite. */
  let seenSeq = input.nextSeq;
  let open: OpenStep | null = input.resumed;
  /** An answer without tool calls, not yet stored. */
  let last: ModelCompleted | null = null;

  const place = <Event extends EngineEvent>(event: Event) => ({ ...event, ...writer.base() });

  const stepWrite = (event: ModelCompleted, ended: boolean): StepWrite => ({
    step: event.step,
    model: run.model,
    finishReason: event.finish_reason,
    usage: event.usage,
    costUsd: event.cost_usd,
    durationMs: Math.round(event.duration_ms),
    seenSeq,
    ended,
  });

  const stepCompleted = (event: ModelCompleted): UnplacedEvent =>
    place({
      type: "step.completed",
      step: event.step,
      usage: event.usage,
      cost_usd: event.cost_usd,
      duration_ms: event.duration_ms,
    });

  const charge = (event: ModelCompleted) => ({ step: event.step, costUsd: event.cost_usd });

  /** An answer that lets tools act: stored, with a claim for each call, before any of them does. */
  const storeAnswer = async (event: ModelCompleted): Promise<void> => {
    const calls = event.message.tool_calls.map((request, index) => ({
      request,
      effect: event.claims[index]?.effect ?? "once",
    }));
    const claims = calls.map(({ request, effect }, position) => ({
      callId: request.id,
      step: event.step,
      position,
      name: request.name,
      arguments: request.arguments,
      effect,
    }));
    const messages = [answerMessage(event.step, event.message)];
    const written = await writer.write(
      { ...noProgress, messages, step: stepWrite(event, false), claims },
      charge(event),
    );
    open = openStep(event.step, { usage: event.usage, costUsd: event.cost_usd }, calls);
    const started = event.message.tool_calls.map(({ id, name, arguments: args }) =>
      place({ type: "tool_call.started", tool_call_id: id, name, arguments: args }),
    );
    await sink.durable([...writer.completed(messages, written), ...started]);
  };

  /** An answer without tool calls that turned out not to be the end. */
  const storeLast = async (event: ModelCompleted): Promise<void> => {
    last = null;
    const messages = [answerMessage(event.step, event.message)];
    const written = await writer.write({ ...noProgress, messages, step: stepWrite(event, true) }, charge(event));
    await sink.durable([...writer.completed(messages, written), stepCompleted(event)]);
  };

  const beginStep = async (event: Extract<EngineEvent, { type: "step.started" }>): Promise<void> => {
    if (last) await storeLast(last);
    await sink.durable([place(event)]);
  };

  const toolCallCompleted = async (event: ToolCallCompleted): Promise<void> => {
    if (!open) throw new Error(`tool call ${event.tool_call_id} ended outside of a step`);
    open.results.set(event.tool_call_id, event);
    open.unsettled.push(event);
    // The last one is stored together with the end of the step, which follows at once.
    if (open.results.size === open.calls.length) return;
    const settled = open.unsettled;
    open.unsettled = [];
    await writer.write({ ...noProgress, settles: settled.map(settlement) }, null);
    await sink.durable(settled.map(place));
  };

  const endStep = async (event: StepCompleted): Promise<void> => {
    if (!open) throw new Error(`step ${event.step} ended without having begun`);
    const { unsettled, spent } = open;
    const messages = resultMessages(open);
    open = null;
    const ended: StepWrite = {
      step: event.step,
      model: run.model,
      finishReason: "tool_calls",
      ...spent,
      durationMs: Math.round(event.duration_ms),
      seenSeq,
      ended: true,
    };
    const written = await writer.write(
      { ...noProgress, messages, step: ended, settles: unsettled.map(settlement) },
      null,
    );
    // A successor that only closes the step has spent nothing itself; the step has.
    const completed = place({ ...event, usage: spent.usage, cost_usd: spent.costUsd });
    await sink.durable([...unsettled.map(place), ...writer.completed(messages, written), completed]);
  };

  /** The end of the run, with whatever is not stored yet, in one transaction; then the events that close the log. */
  const end = async (
    ending: Ending,
    rest: {
      interrupted: EngineAnswer | null;
      unreported: EngineOutcome["unreported"];
      unfinished: readonly UnfinishedCall[];
    },
  ): Promise<string | null> => {
    writer.spend(rest.unreported);
    const unfinished = rest.unfinished.map(unfinishedCall);
    const settled = [...(open?.unsettled ?? []), ...unfinished];
    for (const call of unfinished) open?.results.set(call.tool_call_id, call);
    const cut = rest.interrupted && rest.interrupted.text !== "" ? [answerMessage(step, rest.interrupted)] : [];
    // The results of an open step are part of the conversation: the thread's next run must know what its tools have done.
    const messages = last ? [answerMessage(last.step, last.message)] : [...(open ? resultMessages(open) : []), ...cut];
    const written = await writer.write(
      {
        ...noProgress,
        messages,
        step: last ? stepWrite(last, true) : null,
        settles: settled.map(settlement),
        end: ending,
      },
      last ? charge(last) : rest.unreported.cost_usd === "0" ? null : { step, costUsd: rest.unreported.cost_usd },
    );
    const { usage, costUsd } = writer.totals();
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
      ...settled.map(place),
      ...writer.completed(messages, written),
      ...(last ? [stepCompleted(last)] : []),
      // Said now, like its predecessors: two clocks in one stream would have the end stand before what it ends.
      ...(terminal ? [{ ...terminal, at: writer.base().at }] : []),
    ];
    return sink.end(closing, written.fence.attempt);
  };

  return {
    record: (event) => {
      switch (event.type) {
        case "message.delta":
        case "reasoning.delta":
        case "tool_call.delta":
        case "tool_call.output":
          return sink.preview(place(event));
        case "step.started": {
          step = event.step;
          seenSeq = writer.nextSeq();
          // The first step of an attempt stands in the log since it was opened, unless a step before it was still open then.
          if (event.step === input.firstStep && !input.resumed) return;
          return beginStep(event);
        }
        case "message.discarded":
          return sink.durable([place(event)]);
        case "tool_call.started":
          // Said when the call was claimed: the claim is what is stored, so a rebuilt log says it there, too.
          return;
        case "model.completed":
          writer.spend(event);
          step = event.step + 1;
          if (event.message.tool_calls.length > 0) return storeAnswer(event);
          last = event;
          return;
        case "tool_call.completed":
          return toolCallCompleted(event);
        case "step.completed":
          return last ? undefined : endStep(event);
      }
    },
    posted: writer.posted,
    balanceUsd: writer.balanceUsd,
    nextSeq: writer.nextSeq,
    finish: async (outcome, stop) => {
      const none = { interrupted: null, unreported: outcome.unreported, unfinished: [] };
      switch (outcome.kind) {
        case "completed": {
          const ending: Ending = { status: "completed", error: null, receipt: null, ifNextSeq: writer.nextSeq() };
          try {
            return { kind: "ended", status: "completed", cursor: await end(ending, none) };
          } catch (error) {
            if (!(error instanceof PostedMeanwhile)) throw error;
            if (last) await storeLast(last);
            return { kind: "posted" };
          }
        }
        case "failed": {
          const { code, message, retryable, interrupted } = outcome;
          const ending: Ending = {
            status: "failed",
            error: { code, message, retryable },
            receipt: null,
            ifNextSeq: null,
          };
          return { kind: "ended", status: "failed", cursor: await end(ending, { ...none, interrupted }) };
        }
        case "aborted": {
          const receipt: StopReceipt = {
            ...(await readStopTimes(deps.db, { runId: run.id })),
            aborted: [...outcome.aborted],
            killed: [...(stop?.killed ?? [])],
            // With the answer that was cut: it is paid for, too.
            charged_usd: addUsd(writer.totals().costUsd, outcome.unreported.cost_usd),
          };
          const ending: Ending = { status: "stopped", error: null, receipt, ifNextSeq: null };
          return { kind: "ended", status: "stopped", cursor: await end(ending, { ...none, ...outcome }) };
        }
      }
    },
  };
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

const answerMessage = (step: number, answer: EngineAnswer): NewMessage => ({
  id: answer.id,
  step,
  role: "assistant",
  status: answer.status,
  text: answer.text,
  toolCalls: answer.tool_calls,
  toolCallId: null,
});
