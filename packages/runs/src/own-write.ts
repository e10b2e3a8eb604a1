import { settleUsage } from "@cortex/billing";
import { asAccount, type Db } from "@cortex/db";
import type { Fence, Progress, Written } from "./progress.ts";
import type { Charge } from "./run-writer.ts";

/** Why the fence refused a write. */
export type Refusal =
  /** The write had been done already, only its answer was lost. This is what it would have said. */
  | { kind: "done"; written: Written & { fence: NonNullable<Written["fence"]> }; balanceUsd: string | null }
  /** It was to end the run only if nobody had posted, and somebody has. */
  | { kind: "posted" }
  | { kind: "fenced" };

/**
 * Finds out why a write was refused. A write whose answer was lost comes a second time and meets itself: its id stands in the run's row, and
 * what it wrote tells what it would have answered. An end is told from somebody else's by the same id, so an attempt never takes its own
 * committed end for being superseded.
 */
export const explainRefusal = (
  db: Db,
  fence: Fence,
  write: { writeId: string; progress: Pick<Progress, "messages" | "end">; charge: Charge | null },
): Promise<Refusal> =>
  asAccount(db, { accountId: fence.accountId }, async (tx): Promise<Refusal> => {
    const { messages, end } = write.progress;
    const run = await tx
      .selectFrom("agent_runs")
      .innerJoin("threads", "threads.id", "agent_runs.thread_id")
      .innerJoin("accounts", "accounts.id", "agent_runs.account_id")
      .select(["status", "attempt", "last_write_id", "stop_requested_at", "reserved_usd", "completed_at"])
      .select(["threads.next_seq", "accounts.tools_version"])
      .where("agent_runs.id", "=", fence.runId)
      .executeTakeFirst();
    if (!run) return { kind: "fenced" };
    const stillOurs = run.status === "running" && run.attempt === fence.attempt;
    const endedByUs = end !== null && run.status === end.status && run.attempt === fence.attempt + 1;
    if (run.last_write_id !== write.writeId) {
      return { kind: stillOurs && end !== null && end.ifNextSeq !== null ? "posted" : "fenced" };
    }
    if (end === null ? !stillOurs : !endedByUs) return { kind: "fenced" };
    const last = await tx
      .selectFrom("messages")
      .select(["seq", "created_at"])
      .where("id", "=", messages.at(-1)?.id ?? null)
      .executeTakeFirst();
    const { accountId, runId } = fence;
    return {
      kind: "done",
      written: {
        fence: {
          attempt: run.attempt,
          stopRequestedAt: run.stop_requested_at,
          reservedUsd: run.reserved_usd,
          completedAt: run.completed_at,
        },
        nextSeq: last ? last.seq + 1 : run.next_seq,
        at: last?.created_at ?? new Date(),
        toolsVersion: run.tools_version,
      },
      // A fact moves money once: asked again, it only says the balance.
      balanceUsd: write.charge && (await settleUsage(tx, { accountId, runId, ...write.charge })),
    };
  });
