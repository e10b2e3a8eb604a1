import {
  canonicalUsd,
  type Message,
  type RunEvent,
  RunError,
  StopReceipt,
  type UnplacedEvent,
  Usage,
  isTerminal,
} from "@cortex/contracts";
import type { DB } from "@cortex/db";
import type { Selectable } from "kysely";
import { type ApprovalRow, argumentsToRun, toDecidedApproval, toOpenApproval } from "./approvals.ts";
import { withoutBytes } from "./pictures.ts";
import type { RunRow } from "./run.ts";
import { resumedAt, resumedEvent, type RunWait, waitingEvent, wasResumed } from "./run-waits.ts";
import { summaryEvent, type SummaryRow } from "./summaries.ts";

/** What Postgres holds of one run; messages by seq, steps by step, tool calls by (step, position), waits by attempt, summaries by time. */
export interface RunFacts {
  run: RunRow;
  messages: readonly { step: number | null; message: Message }[];
  steps: readonly Selectable<DB["run_steps"]>[];
  toolCalls: readonly Selectable<DB["tool_calls"]>[];
  waits: readonly RunWait[];
  /** By time. */
  summaries: readonly SummaryRow[];
  /** In any order. */
  approvals: readonly ApprovalRow[];
}

/**
 * The attempts that worked on a run. Ending a run raises the attempt once more, so that nobody can write after the end; that last
 * number stands for no work and is not shown.
 */
export const workedAttempts = (run: Pick<RunRow, "attempt" | "status">): number =>
  isTerminal(run.status) ? Math.max(0, run.attempt - 1) : run.attempt;

const said = (message: Message): Message => ({ ...message, content: withoutBytes(message.content) });

/** How a run ended, as the event that closes its log; null while it has not ended. */
export const terminalEvent = (run: RunRow): UnplacedEvent | null => {
  const base = {
    run_id: run.id as RunEvent["run_id"],
    at: (run.completed_at ?? run.created_at).toISOString(),
    attempt: workedAttempts(run),
  };
  const totals = { usage: Usage.parse(run.usage), cost_usd: canonicalUsd(run.cost_usd) };
  switch (run.status) {
    case "completed":
      return { ...base, type: "run.completed", ...totals };
    case "failed":
      return { ...base, type: "run.failed", ...totals, error: RunError.parse(run.error) };
    case "stopped":
      return { ...base, type: "run.stopped", ...totals, receipt: StopReceipt.parse(run.stop_receipt) };
    default:
      return null;
  }
};

type CallRow = RunFacts["toolCalls"][number];

/**
 * The events that a run's live log must contain by now, in order, derived from Postgres and nothing else: what a lost log is rebuilt
 * from. Previews (deltas, live output) are not among them.
 *
 * A running run has begun its next step even if nothing of that step is stored yet, so its `step.started` is derived too; so has one that
 * waited in that step.
 */
export const durableEvents = (facts: RunFacts): UnplacedEvent[] => {
  const { run } = facts;
  const runId = run.id as RunEvent["run_id"];
  const events: UnplacedEvent[] = [];
  const at = (time: Date) => time.toISOString();
  let attempt = 1;

  events.push({ type: "run.queued", run_id: runId, at: at(run.created_at), attempt: 0 });
  if (run.started_at) {
    events.push({
      type: "run.started",
      run_id: runId,
      at: at(run.started_at),
      attempt: 1,
      model: run.model,
      agent_version_id: run.agent_version_id as Extract<RunEvent, { type: "run.started" }>["agent_version_id"],
    });
  }
  const takenOver = (by: number, time: Date) => {
    if (by <= attempt) return;
    attempt = by;
    events.push({ type: "attempt.started", run_id: runId, at: at(time), attempt: by });
  };

  const byStep = Map.groupBy(facts.messages, (entry) => entry.step ?? -1);
  const callsByStep = Map.groupBy(facts.toolCalls, (call) => call.step);
  const providerWaits = Map.groupBy(
    facts.waits.filter(({ reason }) => reason === "provider_limit"),
    (wait) => wait.step,
  );
  const approvalWaits = Map.groupBy(
    facts.waits.filter(({ reason }) => reason === "approval"),
    (wait) => wait.step,
  );
  const approvals = new Map(facts.approvals.map((approval) => [approval.call_id, approval]));
  const summariesByStep = Map.groupBy(facts.summaries, (summary) => summary.step);
  const worked = workedAttempts(run);
  const passWait = (each: RunWait, calls: readonly CallRow[]) => {
    const asked = calls.flatMap((call) => {
      const approval = approvals.get(call.call_id);
      return approval?.attempt === each.attempt ? [{ call, approval }] : [];
    });
    takenOver(each.attempt, each.began_at);
    events.push(
      waitingEvent(
        each,
        asked.map(({ call, approval }) => toOpenApproval(call, approval)),
      ),
    );
    if (!wasResumed(each, worked)) return;
    takenOver(each.attempt + 1, resumedAt(each));
    events.push(
      resumedEvent(
        each,
        asked.flatMap(({ call, approval }) => toDecidedApproval(call, approval) ?? []),
      ),
    );
  };
  /**
   * A step begins in the attempt that waited or wrote a summary in it first, if one did, and not in the one that got its answer. An attempt that
   * waits has written its summary before.
   */
  const beginStep = (step: number, begun: { attempt: number; at: Date }) => {
    const waits = providerWaits.get(step) ?? [];
    const summaries = summariesByStep.get(step) ?? [];
    const passed = [
      ...summaries.map((summary) => ({
        kind: "summary" as const,
        attempt: summary.attempt,
        at: summary.created_at,
        summary,
      })),
      ...waits.map((wait) => ({ kind: "wait" as const, attempt: wait.attempt, at: wait.began_at, wait })),
    ].toSorted(
      (left, right) =>
        left.attempt - right.attempt || (left.kind === right.kind ? 0 : left.kind === "summary" ? -1 : 1),
    );
    const [first] = passed;
    takenOver(first?.attempt ?? begun.attempt, first?.at ?? begun.at);
    const time = at(first && first.at < begun.at ? first.at : begun.at);
    events.push({ type: "step.started", run_id: runId, at: time, attempt, step, model: run.model });
    for (const one of passed) {
      takenOver(one.attempt, one.at);
      if (one.kind === "summary") {
        events.push(summaryEvent(one.summary, { run_id: runId, at: at(one.at), attempt }));
        continue;
      }
      passWait(one.wait, []);
    }
    takenOver(begun.attempt, begun.at);
  };

  for (const step of facts.steps) {
    beginStep(step.step, { attempt: step.attempt, at: step.started_at });
    const base = () => ({ run_id: runId, attempt });
    const messages = byStep.get(step.step) ?? [];
    const calls = callsByStep.get(step.step) ?? [];
    for (const { message } of messages) {
      if (message.role === "assistant")
        events.push({ ...base(), type: "message.completed", at: message.created_at, message: said(message) });
    }
    const waited = approvalWaits.get(step.step) ?? [];
    for (const each of waited) passWait(each, calls);
    const resumed = waited.findLast((each) => wasResumed(each, worked));
    for (const call of calls) {
      // Calls that wait for people are begun by the attempt that comes after the wait; if none does, they never are.
      const begun = call.started_at ?? (resumed ? resumedAt(resumed) : null);
      if (begun === null) continue;
      events.push({
        ...base(),
        type: "tool_call.started",
        at: at(begun),
        tool_call_id: call.call_id,
        name: call.name,
        arguments: argumentsToRun(call, approvals.get(call.call_id)),
      });
    }
    const ended = calls.flatMap((call) => (call.ended_at ? [{ ...call, ended_at: call.ended_at }] : []));
    for (const call of ended.toSorted((left, right) => left.ended_at.getTime() - right.ended_at.getTime())) {
      // A step that one attempt began may have been finished by another.
      takenOver(call.attempt, call.ended_at);
      events.push({
        ...base(),
        type: "tool_call.completed",
        at: at(call.ended_at),
        tool_call_id: call.call_id,
        name: call.name,
        result: call.result ?? "",
        is_error: call.is_error,
        effect_state: effectState(call),
        duration_ms: call.duration_ms ?? 0,
      });
    }
    for (const { message } of messages) {
      if (message.role === "tool")
        events.push({ ...base(), type: "message.completed", at: message.created_at, message: said(message) });
    }
    if (step.ended_at) {
      events.push({
        ...base(),
        type: "step.completed",
        at: at(step.ended_at),
        step: step.step,
        model: step.model,
        usage: Usage.parse(step.usage),
        cost_usd: canonicalUsd(step.cost_usd),
        duration_ms: step.duration_ms,
      });
    }
  }

  const last = facts.steps.at(-1);
  const next = last ? last.step + 1 : 0;
  const running = run.status === "running";
  const open = last !== undefined && last.ended_at === null;
  const waited = providerWaits.has(next);
  if (running && !waited) takenOver(run.attempt, run.claimed_at ?? run.created_at);
  if (waited || summariesByStep.has(next) || (running && !open)) {
    const time = last?.ended_at ?? run.started_at ?? run.created_at;
    beginStep(next, { attempt: running ? run.attempt : attempt, at: time });
  }
  for (const { message } of byStep.get(next) ?? []) {
    events.push({ type: "message.completed", run_id: runId, at: message.created_at, attempt, message: said(message) });
  }
  const terminal = terminalEvent(run);
  if (terminal) events.push(terminal);
  return events;
};

export const effectState = (call: Selectable<DB["tool_calls"]>) => {
  if (call.state === "unknown") return "unknown" as const;
  if (call.effect === "pure") return "none" as const;
  return call.state === "failed" ? ("failed" as const) : ("done" as const);
};

/** What makes a durable event the same one in a log and in a derivation: its times may differ, its identity may not. */
export const eventIdentity = (event: UnplacedEvent): string => {
  switch (event.type) {
    case "attempt.started":
    case "run.waiting":
    case "run.resumed":
      return `${event.type} ${event.attempt}`;
    case "step.started":
    case "step.completed":
      return `${event.type} ${event.step}`;
    case "context.compacted":
      return `${event.type} ${event.summary_id}`;
    case "message.completed":
      return `${event.type} ${event.message.id}`;
    case "tool_call.started":
    case "tool_call.completed":
      return `${event.type} ${event.tool_call_id}`;
    default:
      return event.type;
  }
};
