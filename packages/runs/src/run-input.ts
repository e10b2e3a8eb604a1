import { mcpServersOf, type ToolsForRun, toolSettingsOf } from "@cortex/agents";
import {
  type AgentVersion,
  canonicalUsd,
  type Message,
  ModelParameters,
  type ToolCallRequest,
  Usage,
  type Usd,
} from "@cortex/contracts";
import { asAccount, type Db, type Tx } from "@cortex/db";
import { isSwitchedOff } from "@cortex/failpoints";
import { sql } from "kysely";
import { type ApprovalRow, decisionOf, type StoredDecision } from "./approvals.ts";
import { type OpenStep, openStep } from "./open-step.ts";
import { FencedError, type RunRow } from "./run.ts";
import { toMessage } from "./run-facts.ts";
import { readThread, type ThreadSummary } from "./thread-reading.ts";

/** A call that an earlier attempt left, and what may be done about it. */
export type LeftCall =
  | { call: ToolCallRequest; state: "done"; result: string; isError: boolean }
  | { call: ToolCallRequest; state: "run" }
  | { call: ToolCallRequest; state: "unknown" }
  | { call: ToolCallRequest; state: "awaiting" }
  | { call: ToolCallRequest; state: "decided"; digest: string; decision: StoredDecision };

/** Everything that an attempt needs to know before it calls the model; nothing of it was trusted from the time of the start request. */
export interface RunInput {
  /** The conversation of the thread, by seq; but what the model has not seen of it when it gave its last answer stands behind that answer. */
  messages: readonly Message[];
  /** What stands for the messages that are missing from them: a summary that a run of this thread has written. */
  summary: ThreadSummary | null;
  /** Ids of this run's tool calls that the summary stands for. */
  summarisedCallIds: readonly string[];
  nextSeq: number;
  instructions: string;
  /** Asked in this order when the run's model does not answer; those of them that the account's plan includes. */
  fallbackModels: readonly string[];
  modelParameters: ModelParameters;
  /** The agent's tools; null: all there are. */
  agentTools: readonly string[] | null;
  /** What the agent's version says about approvals, by the tool's name. It is one voice among several: `toolSettings` are others. */
  approvals: AgentVersion["approvals"];
  /** What the account and the agent say about tools, as of now. They may change while the run is under way. */
  toolSettings: ToolsForRun;
  maxSteps: number;
  /** The plan does not ask for credit. */
  unlimited: boolean;
  /** By all attempts together, as of now. */
  spent: { usage: Usage; costUsd: Usd };
  /** The number of the next model call. */
  firstStep: number;
  /** The step that an earlier attempt left open, with its calls. */
  left: { open: OpenStep; calls: readonly LeftCall[] } | null;
}

/**
 * Reads the input of an attempt, or of its continuation, in one transaction, and claims anew the calls that an earlier attempt has released.
 * The thread is one indexed read per attempt, not one per step, and only of what its newest summary does not stand for.
 * @throws FencedError
 */
export const readRunInput = (db: Db, run: RunRow): Promise<RunInput> =>
  asAccount(
    db,
    { accountId: run.account_id, ...(run.attempt === 1 ? { reads: true } : { snapshot: true }) },
    async (tx) => {
      const { summary, messages } = await readThread(tx, run);
      const setting = await tx
        .selectFrom("agent_runs")
        .innerJoin("agent_versions", "agent_versions.id", "agent_runs.agent_version_id")
        .innerJoin("accounts", "accounts.id", "agent_versions.account_id")
        .innerJoin("plans", "plans.id", "accounts.plan_id")
        .select([
          "agent_versions.instructions",
          "agent_versions.fallback_models",
          "agent_versions.model_parameters",
          "agent_versions.tools",
          "agent_versions.approvals",
          "agent_versions.max_steps",
          "plans.unlimited",
          "plans.models",
          "accounts.tools_version",
          "agent_runs.usage",
          "agent_runs.cost_usd",
        ])
        .select(toolSettingsOf(sql`accounts.id`, sql`agent_runs.agent_id`).as("tool_settings"))
        .select(mcpServersOf(sql`accounts.id`).as("mcp_servers"))
        .where("agent_runs.id", "=", run.id)
        .executeTakeFirstOrThrow();
      // Without a message of its own, a first attempt has stored no step: the happy path asks for none.
      const begun =
        run.attempt > 1 || summary?.runId === run.id || messages.some((message) => message.run_id === run.id);
      const { seenSeq, ...progress } = begun ? await readProgress(tx, run) : notBegun;
      return {
        messages: unseenLast(messages, { runId: run.id, seenSeq }),
        summary,
        summarisedCallIds: summary?.runId === run.id ? await readCallIds(tx, run) : [],
        nextSeq: Math.max(summary?.throughSeq ?? -1, messages.at(-1)?.seq ?? -1) + 1,
        instructions: setting.instructions,
        fallbackModels: setting.fallback_models.filter((model) => setting.models?.includes(model) ?? true),
        modelParameters: ModelParameters.parse(setting.model_parameters),
        agentTools: setting.tools,
        approvals: setting.approvals as AgentVersion["approvals"],
        toolSettings: { version: setting.tools_version, settings: setting.tool_settings, servers: setting.mcp_servers },
        maxSteps: setting.max_steps,
        unlimited: setting.unlimited,
        spent: { usage: Usage.parse(setting.usage), costUsd: canonicalUsd(setting.cost_usd) },
        ...progress,
      };
    },
  );

/**
 * A message that was posted while the model wrote its last answer got the lower seq. Behind that answer it is what the model is asked next;
 * before it, it would look as if it had been answered.
 */
const unseenLast = (messages: readonly Message[], input: { runId: string; seenSeq: number }): Message[] => {
  const unseen = (message: Message) => message.seq >= input.seenSeq && message.run_id !== input.runId;
  return [...messages.filter((message) => !unseen(message)), ...messages.filter(unseen)];
};

/** Messages that were posted in `[fromSeq, toSeq)`, for a run that goes on. */
export const readPostedMessages = (
  db: Db,
  input: { accountId: string; threadId: string; fromSeq: number; toSeq: number; runId: string },
): Promise<Message[]> =>
  asAccount(db, input, async (tx) => {
    const messages = await readMessages(tx, input);
    return messages.filter((message) => message.run_id !== input.runId && message.seq < input.toSeq);
  });

const readMessages = async (tx: Tx, input: { threadId: string; fromSeq: number }): Promise<Message[]> => {
  const rows = await tx
    .selectFrom("messages")
    .selectAll()
    .where("thread_id", "=", input.threadId)
    .where("seq", ">=", input.fromSeq)
    .orderBy("seq")
    .execute();
  return rows.map(toMessage);
};

/** All of the run: with a summary of its own, its messages are no longer there to be looked at. */
const readCallIds = async (tx: Tx, run: RunRow): Promise<string[]> => {
  const rows = await tx.selectFrom("tool_calls").select("call_id").where("run_id", "=", run.id).execute();
  return rows.map((row) => row.call_id);
};

interface RunProgress extends Pick<RunInput, "firstStep" | "left"> {
  /** What the last answer was given to: the thread's messages below this seq. */
  seenSeq: number;
}

const notBegun: RunProgress = { firstStep: 0, left: null, seenSeq: Infinity };

/** Where the run has got to. */
const readProgress = async (tx: Tx, run: RunRow): Promise<RunProgress> => {
  const last = await tx
    .selectFrom("run_steps")
    .select(["step", "ended_at", "model", "usage", "cost_usd", "seen_seq"])
    .where("run_id", "=", run.id)
    .orderBy("step", "desc")
    .limit(1)
    .executeTakeFirst();
  if (!last) return notBegun;
  const firstStep = last.step + 1;
  if (last.ended_at) return { firstStep, left: null, seenSeq: last.seen_seq };

  const rows = await tx
    .selectFrom("tool_calls")
    .leftJoin("tool_approvals", (join) =>
      join
        .onRef("tool_approvals.run_id", "=", "tool_calls.run_id")
        .onRef("tool_approvals.call_id", "=", "tool_calls.call_id"),
    )
    .selectAll("tool_calls")
    .select(["tool_approvals.digest", "decision", "comment", "edited_arguments"])
    .where("tool_calls.run_id", "=", run.id)
    .where("tool_calls.step", "=", last.step)
    .orderBy("tool_calls.position")
    .execute();
  // While one of them waits for a decision, none of its neighbours may begin either.
  const held = rows.some((row) => row.state === "awaiting" && row.decision === null);
  if (!held && rows.some(isHeldBack)) await claimHeldBack(tx, run);
  const open = openStep(
    last.step,
    { model: last.model, usage: Usage.parse(last.usage), costUsd: canonicalUsd(last.cost_usd) },
    rows.map((row) => ({ request: requestOf(row), effect: row.effect })),
  );
  for (const row of rows) {
    if (row.ended_at) open.results.set(row.call_id, { result: row.result ?? "" });
  }
  return { firstStep, left: { open, calls: rows.map(leftCall) }, seenSeq: last.seen_seq };
};

/** It has not begun and is about to. */
const isHeldBack = (row: CallRow): boolean =>
  row.state === "released" || (row.state === "awaiting" && row.decision !== null && row.decision !== "reject");

/**
 * A call that was held back is about to act: without a claim in its name a second crash would have it repeated, whatever its effect. Of two attempts
 * that read the same rows one gets it, the other meets a changed row in its snapshot and reads again.
 */
const claimHeldBack = async (tx: Tx, run: RunRow): Promise<void> => {
  const claimed = await sql`
    update cortex.tool_calls set
      state = 'started', attempt = ${run.attempt}, started_at = coalesce(tool_calls.started_at, clock_timestamp())
    from cortex.agent_runs
    where tool_calls.run_id = ${run.id}
      and (tool_calls.state = 'released' or (tool_calls.state = 'awaiting' and exists (
        select from cortex.tool_approvals
        where tool_approvals.run_id = tool_calls.run_id and tool_approvals.call_id = tool_calls.call_id
          and tool_approvals.decision in ('approve', 'edit'))))
      and agent_runs.id = tool_calls.run_id and agent_runs.attempt = ${run.attempt} and agent_runs.status = 'running'`.execute(
    tx,
  );
  if (!claimed.numAffectedRows) throw new FencedError(run.id, run.attempt);
};

interface CallRow {
  call_id: string;
  name: string;
  arguments: unknown;
  effect: "pure" | "idempotent" | "once";
  state: "started" | "awaiting" | "released" | "done" | "failed" | "unknown";
  result: string | null;
  is_error: boolean;
  /** Of the approval that it needed, if it did. */
  digest: string | null;
  decision: ApprovalRow["decision"];
  comment: string | null;
  edited_arguments: ApprovalRow["edited_arguments"];
}

const requestOf = (row: CallRow): ToolCallRequest => ({
  id: row.call_id,
  name: row.name,
  arguments: row.arguments as ToolCallRequest["arguments"],
});

/**
 * What a successor does about a call, by what repeating it would do: settled stays settled; `pure` and `idempotent` (under the same key) run
 * again; a `once` call is repeated only if its worker let go of it before it began. One that needs a person never runs without.
 */
const leftCall = (row: CallRow): LeftCall => {
  const call = requestOf(row);
  const toRun = (): LeftCall => {
    const decision = decisionOf(row);
    return decision && row.digest !== null
      ? { call, state: "decided", digest: row.digest, decision }
      : { call, state: "run" };
  };
  switch (row.state) {
    case "awaiting":
      return row.decision === null ? { call, state: "awaiting" } : toRun();
    case "released":
      return toRun();
    case "started":
      return row.effect === "once" && !isSwitchedOff("tool_claim") ? { call, state: "unknown" } : toRun();
    case "done":
    case "failed":
    case "unknown":
      return { call, state: "done", result: row.result ?? "", isError: row.is_error };
  }
};
