import { type Message, Metadata, MessagePart, ToolCallRequest } from "@cortex/contracts";
import { type DB, type Db, inScope, type Scope, type Tx } from "@cortex/db";
import type { Selectable } from "kysely";
import { z } from "zod";
import type { RunFacts } from "./durable-events.ts";

const Content = z.array(MessagePart);
const ToolCalls = z.array(ToolCallRequest);

/** A stored message as it stands on the wire. */
export const toMessage = (row: Selectable<DB["messages"]>): Message => ({
  id: row.id as Message["id"],
  thread_id: row.thread_id as Message["thread_id"],
  run_id: row.run_id as Message["run_id"],
  seq: row.seq,
  role: row.role,
  status: row.status,
  content: Content.parse(row.content),
  ...(row.tool_calls === null ? {} : { tool_calls: ToolCalls.parse(row.tool_calls) }),
  ...(row.tool_call_id === null ? {} : { tool_call_id: row.tool_call_id }),
  metadata: Metadata.parse(row.metadata),
  created_at: row.created_at.toISOString(),
});

/** Everything that the durable events of a run are derived from, read in one transaction; null if there is no such run. */
export const readRunFacts = (db: Db, input: { runId: string; scope: Scope }): Promise<RunFacts | null> =>
  inScope(db, { ...input.scope, snapshot: true }, (tx) => runFacts(tx, input));

/** The same inside somebody's transaction (of a user, or of a worker). */
export const runFacts = async (tx: Tx, input: { runId: string }): Promise<RunFacts | null> => {
  const run = await tx.selectFrom("agent_runs").selectAll().where("id", "=", input.runId).executeTakeFirst();
  if (!run) return null;
  const messages = await tx
    .selectFrom("messages")
    .selectAll()
    .where("run_id", "=", input.runId)
    .orderBy("seq")
    .execute();
  const steps = await tx
    .selectFrom("run_steps")
    .selectAll()
    .where("run_id", "=", input.runId)
    .orderBy("step")
    .execute();
  const toolCalls = await tx
    .selectFrom("tool_calls")
    .selectAll()
    .where("run_id", "=", input.runId)
    .orderBy("step")
    .orderBy("position")
    .execute();
  return { run, messages: messages.map((row) => ({ step: row.step, message: toMessage(row) })), steps, toolCalls };
};
