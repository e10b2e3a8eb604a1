import { releaseReservation, settleUsage } from "@cortex/billing";
import {
  addUsage,
  addUsd,
  canonicalUsd,
  type Message,
  type RunEvent,
  textParts,
  type UnplacedEvent,
  Usage,
  type Usd,
} from "@cortex/contracts";
import { asAccount, type Db, type Tx } from "@cortex/db";
import { failpoint } from "@cortex/failpoints";

import { type Fence, type NewMessage, type Progress, writeProgress, type Written } from "./progress.ts";
import { FencedError, type RunRow } from "./run.ts";

/** Somebody posted to the thread while its run was about to end: the end is undone and the run goes on. */
export class PostedMeanwhile extends Error {
  override readonly name = "PostedMeanwhile";
}

/** What a step has cost; written once, whatever is retried. */
export interface Charge {
  step: number;
  costUsd: Usd;
}

export interface RunWriter {
  /** One transaction. Throws `FencedError` if the attempt is superseded, `PostedMeanwhile` if the end was conditional. */
  write(
    progress: Omit<Progress, "totals">,
    charge: Charge | null,
  ): Promise<Written & { fence: NonNullable<Written["fence"]> }>;
  /** Adds to the totals of the run, which the next write stores. */
  spend(spent: { usage: Usage; cost_usd: Usd }): void;
  totals(): { usage: Usage; costUsd: Usd };
  nextSeq(): number;
  /** Has a message been posted since this was last asked? */
  posted(): boolean;
  /** What the last settlement left on the account; null before the first. */
  balanceUsd(): Usd | null;
  /** The place of an event of this attempt, but for its seq. */
  base(): { run_id: RunEvent["run_id"]; at: string; attempt: number };
  /** The events of messages that were just written. */
  completed(messages: readonly NewMessage[], written: Written): UnplacedEvent[];
}

const isOurs = async (tx: Tx, fence: Fence): Promise<boolean> => {
  const row = await tx
    .selectFrom("agent_runs")
    .select("id")
    .where("id", "=", fence.runId)
    .where("attempt", "=", fence.attempt)
    .where("status", "=", "running")
    .executeTakeFirst();
  return row !== undefined;
};

/** Writes what an attempt achieves, and keeps the sums and the place in the thread that go with it. */
export const createRunWriter = (db: Db, run: RunRow, input: { nextSeq: number }): RunWriter => {
  const fence: Fence = { runId: run.id, attempt: run.attempt, accountId: run.account_id, threadId: run.thread_id };
  let usage = Usage.parse(run.usage);
  let costUsd: Usd = canonicalUsd(run.cost_usd);
  let nextSeq = input.nextSeq;
  let posted = false;
  let balanceUsd: Usd | null = null;
  const base = () => ({ run_id: run.id as RunEvent["run_id"], at: new Date().toISOString(), attempt: run.attempt });

  return {
    write: async (progress, charge) => {
      const part = progress.end === null ? "step" : "final";
      await failpoint(`${part}.before_commit`);
      const written = await asAccount(db, { accountId: fence.accountId }, async (tx) => {
        const result = await writeProgress(tx, fence, { ...progress, totals: { usage, costUsd } });
        if (!result.fence) {
          // Of a conditional end, both may be the reason; a superseded attempt must never take it for a message and go on.
          const conditional = progress.end !== null && progress.end.ifNextSeq !== null;
          if (conditional && (await isOurs(tx, fence))) throw new PostedMeanwhile();
          throw new FencedError(fence.runId, fence.attempt);
        }
        if (charge) balanceUsd = await settleUsage(tx, { accountId: fence.accountId, runId: fence.runId, ...charge });
        if (progress.end) {
          await releaseReservation(tx, {
            accountId: fence.accountId,
            runId: fence.runId,
            reservedUsd: result.fence.reservedUsd,
          });
        }
        return { ...result, fence: result.fence };
      });
      await failpoint(`${part}.after_commit`);
      if (progress.settles.length > 0) await failpoint("tool.after_settle");
      if (written.nextSeq !== nextSeq + progress.messages.length) posted = true;
      nextSeq = written.nextSeq;
      return written;
    },
    spend: (spent) => {
      usage = addUsage(usage, spent.usage);
      costUsd = addUsd(costUsd, spent.cost_usd);
    },
    totals: () => ({ usage, costUsd }),
    nextSeq: () => nextSeq,
    posted: () => {
      const was = posted;
      posted = false;
      return was;
    },
    balanceUsd: () => balanceUsd,
    base,
    completed: (messages, written) =>
      messages.map((message, index) => ({
        ...base(),
        type: "message.completed",
        message: {
          id: message.id as Message["id"],
          thread_id: run.thread_id as Message["thread_id"],
          run_id: run.id as RunEvent["run_id"],
          seq: written.nextSeq - messages.length + index,
          role: message.role,
          status: message.status,
          content: textParts(message.text),
          ...(message.toolCalls.length > 0 ? { tool_calls: [...message.toolCalls] } : {}),
          ...(message.toolCallId === null ? {} : { tool_call_id: message.toolCallId }),
          metadata: {},
          created_at: written.at.toISOString(),
        },
      })),
  };
};
