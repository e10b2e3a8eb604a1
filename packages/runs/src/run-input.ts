import type { Message, ToolCallRequest } from "@cortex/contracts";
import { asAccount, type Db, type Tx } from "@cortex/db";
import { type OpenStep, openStep } from "./open-step.ts";
import type { RunRow } from "./run.ts";
import { toMessage } from "./run-facts.ts";

/** A call that an earlier attempt left, and what may be done about it. */
export type LeftCall =
  | { call: ToolCallRequest; state: "done"; result: string; isError: boolean }
  | { call: ToolCallRequest; state: "run" }
  | { call: ToolCallRequest; state: "unknown" };

/** Everything that an attempt needs to know before it calls the model; nothing of it was trusted from the time of the start request. */
export interface RunInput {
  /** The conversation of the thread, by seq. */
  messages: readonly Message[];
  nextSeq: number;
  instructions: string;
  modelParameters: unknown;
  /** The agent's tools; null: all there are. */
  agentTools: readonly string[] | null;
  maxSteps: number;
  /** The plan does not ask for credit. */
  unlimited: boolean;
  /** The number of the next model call. */
  firstStep: number;
  /** The step that an earlier attempt left open, with its calls. */
  left: { open: OpenStep; calls: readonly LeftCall[] } | null;
}

/** Reads the input of an attempt in one transaction. The thread's messages are one indexed read per attempt, not one per step. */
export const readRunInput = (db: Db, run: RunRow): Promise<RunInput> =>
  asAccount(db, { accountId: run.account_id, snapshot: true }, async (tx) => {
    const messages = await readMessages(tx, { threadId: run.thread_id, fromSeq: 0 });
    const setting = await tx
      .selectFrom("agent_versions")
      .innerJoin("accounts", "accounts.id", "agent_versions.account_id")
      .innerJoin("plans", "plans.id", "accounts.plan_id")
      .select([
        "agent_versions.instructions",
        "agent_versions.model_parameters",
        "agent_versions.tools",
        "agent_versions.max_steps",
        "plans.unlimited",
      ])
      .where("agent_versions.id", "=", run.agent_version_id)
      .executeTakeFirstOrThrow();
    const progress = run.attempt > 1 ? await readProgress(tx, run) : { firstStep: 0, left: null };
    return {
      messages,
      nextSeq: messages.length === 0 ? 0 : (messages.at(-1)?.seq ?? -1) + 1,
      instructions: setting.instructions,
      modelParameters: setting.model_parameters,
      agentTools: setting.tools,
      maxSteps: setting.max_steps,
      unlimited: setting.unlimited,
      ...progress,
    };
  });

/** Messages that were posted since, for a run that goes on. */
export const readPostedMessages = (
  db: Db,
  input: { accountId: string; threadId: string; fromSeq: number; runId: string },
): Promise<Message[]> =>
  asAccount(db, input, async (tx) => {
    const messages = await readMessages(tx, input);
    return messages.filter((message) => message.run_id !== input.runId);
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

/** Where the attempts before this one have got to. */
const readProgress = async (tx: Tx, run: RunRow): Promise<Pick<RunInput, "firstStep" | "left">> => {
  const last = await tx
    .selectFrom("run_steps")
    .select(["step", "ended_at"])
    .where("run_id", "=", run.id)
    .orderBy("step", "desc")
    .limit(1)
    .executeTakeFirst();
  if (!last) return { firstStep: 0, left: null };
  const firstStep = last.step + 1;
  if (last.ended_at) return { firstStep, left: null };

  const rows = await tx
    .selectFrom("tool_calls")
    .selectAll()
    .where("run_id", "=", run.id)
    .where("step", "=", last.step)
    .orderBy("position")
    .execute();
  const open = openStep(
    last.step,
    rows.map((row) => ({ request: requestOf(row), effect: row.effect })),
  );
  for (const row of rows) {
    if (row.ended_at) open.results.set(row.call_id, { result: row.result ?? "" });
  }
  return { firstStep, left: { open, calls: rows.map(leftCall) } };
};

interface CallRow {
  call_id: string;
  name: string;
  arguments: unknown;
  effect: "pure" | "idempotent" | "once";
  state: "started" | "released" | "done" | "failed" | "unknown";
  result: string | null;
  is_error: boolean;
}

const requestOf = (row: CallRow): ToolCallRequest => ({
  id: row.call_id,
  name: row.name,
  arguments: row.arguments as ToolCallRequest["arguments"],
});

/**
 * What a successor does about a call, by what repeating it would do: settled stays settled; `pure` and `idempotent` (under the same key) run
 * again; a `once` call is repeated only if its worker let go of it before it began.
 */
export const leftCall = (row: CallRow): LeftCall => {
  const call = requestOf(row);
  if (row.state === "released") return { call, state: "run" };
  if (row.state !== "started") return { call, state: "done", result: row.result ?? "", isError: row.is_error };
  return row.effect === "once" ? { call, state: "unknown" } : { call, state: "run" };
};
