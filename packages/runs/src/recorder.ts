import type { TerminalRunStatus } from "@cortex/contracts";
import type { Db } from "@cortex/db";
import { answeredStep, answeredStepCompleted, answerMessage, chargeOf } from "./answer-writes.ts";
import type {
  ContextCompacted,
  EngineEvent,
  EngineOutcome,
  EngineWait,
  ModelCompleted,
  StepCompleted,
  ToolCallCompleted,
} from "./engine-events.ts";
import { finishFromInside } from "./finish-from-inside.ts";
import type { LogSink } from "./log-sink.ts";
import {
  inCallOrder,
  type OpenStep,
  openStep,
  resultMessages,
  settledCall,
  settlement,
  storedEarly,
} from "./open-step.ts";
import { parkForApproval } from "./park-for-approval.ts";
import { type Parked, parkRun } from "./park-run.ts";
import type { Outlast } from "./outlast.ts";
import { noProgress, type StepWrite } from "./progress.ts";
import type { RunRow } from "./run.ts";
import { createRunWriter, PostedMeanwhile } from "./run-writer.ts";
import type { RunSettings } from "./settings.ts";
import { storeSummary } from "./summaries.ts";

export interface Recorder {
  /** Records one event of the engine. The engine must not go on before the promise has resolved. */
  record(event: EngineEvent): Promise<void> | void;
  /** Has somebody posted to the thread since this was last asked? */
  posted(): boolean;
  /** What the last settlement left on the account; null before the first. */
  balanceUsd(): string | null;
  /** What the account's tools are, as a number that grows with every change; null before the first write. */
  toolsVersion(): number | null;
  /** The seq of the thread's next message, as of the last write. */
  nextSeq(): number;
  /** Lets the run wait without a worker, or says with what to end it. See parkRun and parkForApproval. */
  park(wait: EngineWait, input: Pick<RunSettings, "maxWaitMs" | "maxApprovalMs">): Promise<Parked>;
  /**
   * Ends the run. `posted`: a message came in while the last answer was written, so the run goes on instead; its step is stored. Read the
   * conversation again and continue.
   */
  finish(
    outcome: EngineOutcome,
  ): Promise<{ kind: "ended"; status: TerminalRunStatus; cursor: string | null } | { kind: "posted" }>;
}

/**
 * Turns what an engine yields into rows and log entries: one transaction where the model has answered (message, usage, money, claims of the
 * tool calls, before any of them acts), one where a step ends, one where the run ends; then the events. What stands in the live log is in
 * Postgres first, previews excepted.
 *
 * An answer without tool calls is kept until it is known what follows, so that the last step and the end of the run are one transaction.
 */
export const createRecorder = (
  deps: { db: Db; sink: LogSink; outlast: Outlast },
  input: { run: RunRow; nextSeq: number; firstStep: number; resumed: OpenStep | null },
): Recorder => {
  const { run } = input;
  const { sink } = deps;
  const writer = createRunWriter(deps, run, { nextSeq: input.nextSeq });
  let step = input.firstStep;
  /** What the model was asked with; see StepWrite. */
  let seenSeq = input.nextSeq;
  let open: OpenStep | null = input.resumed;
  /** An answer without tool calls, not yet stored. */
  let last: ModelCompleted | null = null;

  const place = <Event extends EngineEvent>(event: Event) => ({ ...event, ...writer.base() });

  /** An answer that lets tools act: stored, with a claim for each call, before any of them does. */
  const storeAnswer = async (event: ModelCompleted): Promise<void> => {
    const calls = event.message.tool_calls.map((request, index) => ({
      request,
      effect: event.claims[index]?.effect ?? "once",
      awaits: event.claims[index]?.awaits ?? null,
    }));
    const claims = calls.map(({ request, effect, awaits }, position) => ({
      callId: request.id,
      step: event.step,
      position,
      name: request.name,
      arguments: request.arguments,
      effect,
      state:
        awaits === null ? ("started" as const) : awaits === "approval" ? ("awaiting" as const) : ("released" as const),
    }));
    const messages = [answerMessage(event.step, event.message)];
    const written = await writer.write(
      { ...noProgress, messages, step: answeredStep(event, { seenSeq, ended: false }), claims },
      chargeOf(event),
    );
    open = openStep(event.step, { model: event.model, usage: event.usage, costUsd: event.cost_usd }, calls);
    // Those that wait for people are begun by the attempt that comes after the wait.
    const begun = calls.flatMap(({ request, awaits }) => (awaits === null ? [request] : []));
    const started = begun.map(({ id, name, arguments: args }) =>
      place({ type: "tool_call.started", tool_call_id: id, name, arguments: args }),
    );
    await sink.durable([...writer.completed(messages, written), ...started]);
  };

  /** An answer without tool calls that turned out not to be the end. */
  const storeLast = async (event: ModelCompleted): Promise<void> => {
    last = null;
    const messages = [answerMessage(event.step, event.message)];
    const written = await writer.write(
      { ...noProgress, messages, step: answeredStep(event, { seenSeq, ended: true }) },
      chargeOf(event),
    );
    await sink.durable([...writer.completed(messages, written), answeredStepCompleted(event, writer.base())]);
  };

  const beginStep = async (event: Extract<EngineEvent, { type: "step.started" }>): Promise<void> => {
    if (last) await storeLast(last);
    await sink.durable([place(event)]);
  };

  const compacted = async (event: ContextCompacted): Promise<void> => {
    await sink.durable([await storeSummary(writer, run, event)]);
  };

  const toolCallCompleted = async (event: ToolCallCompleted): Promise<void> => {
    if (!open) throw new Error(`tool call ${event.tool_call_id} ended outside of a step`);
    open.results.set(event.tool_call_id, event);
    open.unsettled.push(settledCall(open, event));
    // The last one is stored together with the end of the step, which follows at once.
    if (open.results.size === open.calls.length) return;
    const { now: settled, later } = storedEarly(open);
    open.unsettled = later;
    if (settled.length === 0) return;
    await writer.write({ ...noProgress, settles: settled.map(settlement) }, null);
    await sink.durable(settled.map(place));
  };

  const endStep = async (event: StepCompleted): Promise<void> => {
    if (!open) throw new Error(`step ${event.step} ended without having begun`);
    const { spent } = open;
    const unsettled = inCallOrder(open, open.unsettled);
    const messages = resultMessages(open);
    open = null;
    const ended: StepWrite = {
      step: event.step,
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
    // A successor that only closes the step has asked nobody and spent nothing itself; the step has.
    const completed = place({ ...event, model: spent.model, usage: spent.usage, cost_usd: spent.costUsd });
    await sink.durable([...unsettled.map(place), ...writer.completed(messages, written), completed]);
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
        case "context.compacted":
          return compacted(event);
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
    toolsVersion: writer.toolsVersion,
    nextSeq: writer.nextSeq,
    park: (wait, { maxWaitMs, maxApprovalMs }) => {
      if (wait.reason === "provider_limit") return parkRun({ ...deps, writer }, { run, step, wait, maxWaitMs });
      if (!open) throw new Error("a run waits for people with the calls of an answer");
      return parkForApproval(deps, { run, open, wait, maxApprovalMs });
    },
    finish: async (outcome) => {
      try {
        const unstored = { step, seenSeq, open, last };
        return {
          kind: "ended",
          ...(await finishFromInside({ ...deps, writer }, { run, outcome, unstored })),
        };
      } catch (error) {
        if (!(error instanceof PostedMeanwhile)) throw error;
        if (last) await storeLast(last);
        return { kind: "posted" };
      }
    },
  };
};
