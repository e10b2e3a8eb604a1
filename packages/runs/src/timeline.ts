import { canonicalUsd, type Message, type Step, Usage } from "@cortex/contracts";
import type { DB, Tx } from "@cortex/db";
import { type Selectable, sql } from "kysely";
import { type ApprovalRow, toDecidedApproval } from "./approvals.ts";
import { effectState, type RunFacts, workedAttempts } from "./durable-events.ts";
import { runFacts, toMessage } from "./run-facts.ts";

/**
 * The durable timeline of a run, as people inspect it. Terms:
 * - user-request: what the run was asked, before it began or while it went on;
 * - agent-thought: a model call that led to tool calls, with its usage, also if it said nothing;
 * - tool-call, tool-result: one pair for each call, in the order in which the model asked; no result yet: the call is under way;
 * - agent-response: a model call that led to none: the answer.
 */
export interface TimelineFacts extends RunFacts {
  /** The messages of users that the run answers, by seq. */
  requests: readonly Message[];
}

type Entry = Omit<Step, "run_id" | "order">;
type StepRow = Selectable<DB["run_steps"]>;
type CallRow = Selectable<DB["tool_calls"]>;

/** A pure reading of the stored facts. Usage and cost stand on the model calls, so that their sum is what the stored steps have cost. */
const timeline = (facts: TimelineFacts): Step[] => {
  const { run } = facts;
  const steps = new Map(facts.steps.map((row) => [row.step, row]));
  const approvals = new Map(facts.approvals.map((row) => [row.call_id, row]));
  const calls = Map.groupBy(facts.toolCalls, (call) => call.step);
  const said = [
    ...facts.requests.map((message) => ({ step: null, message })),
    ...facts.messages.filter(({ message }) => message.role === "assistant"),
  ].toSorted((left, right) => left.message.seq - right.message.seq);

  const entries = said.flatMap(({ step, message }): Entry[] => {
    if (message.role === "user") return [userRequest(message)];
    const answered = step === null ? undefined : steps.get(step);
    const stepCalls = message.tool_calls === undefined ? [] : (calls.get(step ?? -1) ?? []);
    return [
      modelCall(message, answered, workedAttempts(run)),
      ...stepCalls.map(toolCall(approvals, message.created_at)),
      ...stepCalls.flatMap(toolResult),
    ];
  });
  return entries.map((entry, order) => ({ run_id: run.id as Step["run_id"], order, ...entry }));
};

/** As JSON, which is what it was stored as. */
const partsOf = (message: Message) => message.content as Step["content"];

const userRequest = (message: Message): Entry => ({
  type: "user-request",
  content: { message_id: message.id, parts: partsOf(message) },
  attempt: 0,
  started_at: message.created_at,
  ended_at: message.created_at,
});

/** An interrupted answer has no stored step: it began at an unknown time and cost what only the run as a whole knows. */
const modelCall = (message: Message, step: StepRow | undefined, attempt: number): Entry => ({
  type: message.tool_calls === undefined ? "agent-response" : "agent-thought",
  content: { message_id: message.id, parts: partsOf(message), status: message.status },
  attempt: step?.attempt ?? attempt,
  ...(step ? { usage: Usage.parse(step.usage), cost_usd: canonicalUsd(step.cost_usd) } : {}),
  started_at: step?.started_at.toISOString() ?? message.created_at,
  ended_at: message.created_at,
});

/** With what a person decided about it, if it needed one: what ran is there, not what the model asked for. */
const toolCall =
  (approvals: ReadonlyMap<string, ApprovalRow>, askedAt: string) =>
  (call: CallRow): Entry => ({
    type: "tool-call",
    content: {
      tool_call_id: call.call_id,
      arguments: call.arguments as Step["content"],
      ...approvalOf(call, approvals.get(call.call_id)),
    },
    tool_name: call.name,
    attempt: call.attempt,
    started_at: call.started_at?.toISOString() ?? askedAt,
    ended_at: call.ended_at?.toISOString() ?? null,
  });

const approvalOf = (call: CallRow, row: ApprovalRow | undefined): { approval?: Step["content"] } => {
  if (row === undefined) return {};
  const decided = toDecidedApproval(call, row);
  if (decided === null) return { approval: { digest: row.digest, decision: null } };
  const { digest, decision, comment, decided_by, decided_at, arguments: edited } = decided;
  const words = { digest, decision, comment, decided_by, decided_at };
  return { approval: edited === undefined ? words : { ...words, arguments: edited } };
};

const toolResult = (call: CallRow): Entry[] => {
  if (call.ended_at === null) return [];
  const at = call.ended_at.toISOString();
  return [
    {
      type: "tool-result",
      content: {
        tool_call_id: call.call_id,
        result: call.result ?? "",
        is_error: call.is_error,
        effect_state: effectState(call),
      },
      tool_name: call.name,
      attempt: call.attempt,
      started_at: at,
      ended_at: at,
    },
  ];
};

/**
 * The timeline of a run; null if there is no such run for this caller, or its project is deleted. Two statements: read it in a snapshot.
 */
export const getTimeline = async (tx: Tx, input: { runId: string }): Promise<Step[] | null> => {
  const facts = await runFacts(tx, input);
  if (!facts) return null;
  const requests = await readRequests(tx, facts);
  return requests && timeline({ ...facts, requests });
};

/**
 * What users posted for this run: after the last message of the runs before it, and before its own last message; or, while it has written
 * nothing, until its end. So a message that an earlier run failed to answer belongs to the next one, too. Null: the project is deleted.
 */
export const readRequests = async (tx: Tx, { run, messages }: RunFacts): Promise<Message[] | null> => {
  const first = messages.at(0)?.message.seq ?? null;
  const last = messages.at(-1)?.message.seq ?? null;
  const result = await sql<Selectable<DB["messages"]> | { id: null }>`
    select asked.* from cortex.agent_runs run
    join cortex.projects on projects.id = run.project_id and projects.deleted_at is null
    left join lateral (
      select messages.* from cortex.messages
      where messages.thread_id = run.thread_id and messages.run_id is null and messages.role = 'user'
        and messages.seq > coalesce((
          select max(earlier.seq) from cortex.messages earlier
          where earlier.thread_id = run.thread_id and earlier.run_id <> run.id
            and case when ${first}::int is null then earlier.created_at <= run.created_at else earlier.seq < ${first} end
        ), -1)
        and (messages.seq < ${last}::int
          or run.completed_at is null
          or (${last}::int is null and messages.created_at <= run.completed_at))
    ) asked on true
    where run.id = ${run.id}
    order by asked.seq`.execute(tx);
  if (result.rows.length === 0) return null;
  return result.rows.filter((row) => row.id !== null).map(toMessage);
};
