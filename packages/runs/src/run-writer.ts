import { releaseReservation, settleUsage } from "@cortex/billing";
import {
  addUsage,
  addUsd,
  canonicalUsd,
  type Message,
  type RunEvent,
  type UnplacedEvent,
  Usage,
  type Usd,
} from "@cortex/contracts";
import { asAccount, type Db, type Tx } from "@cortex/db";
import { failpoint } from "@cortex/failpoints";
import type { Outlast } from "./outlast.ts";
import { explainRefusal } from "./own-write.ts";
import { withoutBytes } from "./pictures.ts";
import { contentOf, type Fence, type NewMessage, type Progress, writeProgress, type Written } from "./progress.ts";
import { FencedError, type RunRow } from "./run.ts";

/** Somebody posted to the thread while its run was about to end: the end is undone and the run goes on. */
export class PostedMeanwhile extends Error {
  override readonly name = "PostedMeanwhile";
}

/** What a step has cost; written once, whatever is retried. */
export interface Charge {
  step: number;
  costUsd: Usd;
  /** The summary that it paid for, which is not the step's own answer. */
  summary?: string;
}

export interface RunWriter {
  /**
   * One transaction, tried again while Postgres is away and the run may still be ours, and done once whatever answers are lost. Throws
   * `FencedError` if the attempt is superseded, `PostedMeanwhile` if the end was conditional.
   * @param also what else belongs to the same transaction; it comes when the fence has let the write through
   */
  write(
    progress: Omit<Progress, "totals" | "writeId">,
    charge: Charge | null,
    also?: (tx: Tx) => Promise<void>,
  ): Promise<Written & { fence: NonNullable<Written["fence"]> }>;
  /** Adds to the totals of the run, which the next write stores. */
  spend(spent: { usage: Usage; cost_usd: Usd }): void;
  totals(): { usage: Usage; costUsd: Usd };
  nextSeq(): number;
  /** Has a message been posted since this was last asked? */
  posted(): boolean;
  /** What the last settlement left on the account; null before the first. */
  balanceUsd(): Usd | null;
  /** What the account's tools are, as a number that grows with every change, as of the last write; null before the first. */
  toolsVersion(): number | null;
  /** The place of an event of this attempt, but for its seq. */
  base(): { run_id: RunEvent["run_id"]; at: string; attempt: number };
  /** The events of messages that were just written. */
  completed(messages: readonly NewMessage[], written: Written): UnplacedEvent[];
}

/** Rolls a transaction back. */
class Refused extends Error {
  override readonly name = "Refused";
}

interface Done {
  written: Written & { fence: NonNullable<Written["fence"]> };
  balanceUsd: Usd | null;
}

/** Writes what an attempt achieves, and keeps the sums and the place in the thread that go with it. */
export const createRunWriter = (
  deps: { db: Db; outlast: Outlast },
  run: RunRow,
  input: { nextSeq: number },
): RunWriter => {
  const fence: Fence = { runId: run.id, attempt: run.attempt, accountId: run.account_id, threadId: run.thread_id };
  let usage = Usage.parse(run.usage);
  let costUsd: Usd = canonicalUsd(run.cost_usd);
  let nextSeq = input.nextSeq;
  let posted = false;
  let balanceUsd: Usd | null = null;
  let toolsVersion: number | null = null;
  const base = () => ({ run_id: run.id as RunEvent["run_id"], at: new Date().toISOString(), attempt: run.attempt });

  /** Null, and nothing stays, if the fence refuses. */
  const store = async (
    writeId: string,
    progress: Omit<Progress, "totals" | "writeId">,
    charge: Charge | null,
    also?: (tx: Tx) => Promise<void>,
  ): Promise<Done | null> => {
    try {
      return await asAccount(deps.db, { accountId: fence.accountId }, async (tx) => {
        const written = await writeProgress(tx, fence, { ...progress, writeId, totals: { usage, costUsd } });
        if (!written.fence) throw new Refused();
        await also?.(tx);
        const { accountId, runId } = fence;
        const balance = charge && (await settleUsage(tx, { accountId, runId, ...charge }));
        if (progress.end) {
          await releaseReservation(tx, { accountId, runId, reservedUsd: written.fence.reservedUsd });
        }
        return { written: { ...written, fence: written.fence }, balanceUsd: balance };
      });
    } catch (error) {
      if (error instanceof Refused) return null;
      throw error;
    }
  };

  return {
    write: async (progress, charge, also) => {
      const part = progress.end === null ? "step" : "final";
      await failpoint(`${part}.before_commit`);
      // One id for all tries: what was committed although its answer was lost is recognised by it.
      const writeId = crypto.randomUUID();
      const tryOnce = async (): Promise<Done> => {
        const done = await store(writeId, progress, charge, also);
        if (done) return done;
        const refusal = await explainRefusal(deps.db, fence, { writeId, progress, charge });
        switch (refusal.kind) {
          case "done":
            return refusal;
          case "posted":
            throw new PostedMeanwhile();
          case "fenced":
            throw new FencedError(fence.runId, fence.attempt);
        }
      };
      const done = await deps.outlast(tryOnce);
      await failpoint(`${part}.after_commit`);
      if (progress.settles.length > 0) await failpoint("tool.after_settle");
      balanceUsd = done.balanceUsd ?? balanceUsd;
      if (done.written.nextSeq !== nextSeq + progress.messages.length) posted = true;
      nextSeq = done.written.nextSeq;
      toolsVersion = done.written.toolsVersion;
      return done.written;
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
    toolsVersion: () => toolsVersion,
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
          content: withoutBytes(contentOf(message)),
          ...(message.toolCalls.length > 0 ? { tool_calls: [...message.toolCalls] } : {}),
          ...(message.toolCallId === null ? {} : { tool_call_id: message.toolCallId }),
          metadata: {},
          created_at: written.at.toISOString(),
        },
      })),
  };
};
