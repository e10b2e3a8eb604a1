import { settleUsage } from "@cortex/billing";
import { addUsage, addUsd, type Usage, type Usd } from "@cortex/contracts";
import { asAccount, type Db, jsonText, type Tx } from "@cortex/db";
import { failpoint } from "@cortex/failpoints";
import { sql } from "kysely";
import type { EngineOutcome, ProviderWait } from "./engine-events.ts";
import type { LogSink } from "./log-sink.ts";
import type { Outlast } from "./outlast.ts";
import { judgeWait } from "./provider-wait.ts";
import { FencedError, type RunRow } from "./run.ts";
import { type RunWait, waitingEvent } from "./run-waits.ts";
import type { RunWriter } from "./run-writer.ts";

export type Parked =
  /** It waits; this attempt is over. `logged`: its log says so. */
  | { kind: "parked"; until: Date; logged: boolean }
  /** It must not wait: end it with this outcome. */
  | { kind: "ends"; outcome: EngineOutcome };

export interface ParkInput {
  run: RunRow;
  /** The step whose answer the limit keeps back. */
  step: number;
  wait: ProviderWait;
  /** See RunSettings. */
  maxWaitMs: number;
}

/**
 * Lets a run wait without a worker: status, reason, the time of its return, the money of an answer that broke off, and no lease any more, in
 * one transaction of the attempt that holds it; then its log says so and stays open. The attempt does not count as one without progress.
 *
 * Not if a stop was asked for: whoever asked found a running run and left the end to us.
 * @throws FencedError
 */
export const parkRun = async (
  deps: { db: Db; sink: LogSink; writer: Pick<RunWriter, "totals">; outlast: Outlast },
  input: ParkInput,
): Promise<Parked> => {
  const { run, wait } = input;
  const writeId = crypto.randomUUID();
  const totals = deps.writer.totals();
  const parked = await deps.outlast(() =>
    asAccount(deps.db, { accountId: run.account_id }, async (tx) => {
      const done = await parkInTransaction(tx, { ...input, writeId, totals });
      if (done) return done;
      // Parked before, and the answer to that was lost?
      const wait = await readOwnWait(tx, { run, writeId });
      if (!wait) throw new FencedError(run.id, run.attempt);
      return { kind: "parked" as const, wait };
    }),
  );
  switch (parked.kind) {
    case "parked":
      await failpoint("park.after_commit");
      await deps.sink.durable([waitingEvent(parked.wait)]);
      return {
        kind: "parked",
        until: parked.wait.resume_at ?? parked.wait.began_at,
        logged: !deps.sink.isBehind(),
      };
    case "give_up": {
      const { code, message, unreported } = wait;
      return {
        kind: "ends",
        outcome: { kind: "failed", code, message, retryable: true, interrupted: null, unreported },
      };
    }
    case "stop_requested": {
      const nothing = { interrupted: null, unfinished: [], aborted: [], killed: [] };
      return { kind: "ends", outcome: { kind: "aborted", ...nothing, unreported: wait.unreported } };
    }
  }
};

interface StandOfThings {
  stop_requested: boolean;
  left_ms: number | null;
  waits: number;
  waited_ms: number;
}

/** The wait that this very write has begun; null if it has not. */
export const readOwnWait = async (tx: Tx, own: { run: RunRow; writeId: string }): Promise<RunWait | null> => {
  const found = await sql<RunWait>`
    select run_waits.* from cortex.run_waits join cortex.agent_runs on agent_runs.id = run_waits.run_id
    where run_waits.run_id = ${own.run.id} and run_waits.attempt = ${own.run.attempt}
      and agent_runs.attempt = ${own.run.attempt} and agent_runs.last_write_id = ${own.writeId}`.execute(tx);
  return found.rows[0] ?? null;
};

/** Null: the run is not this attempt's (any more). */
const parkInTransaction = async (
  tx: Tx,
  input: ParkInput & { writeId: string; totals: { usage: Usage; costUsd: Usd } },
): Promise<{ kind: "parked"; wait: RunWait } | { kind: "give_up" } | { kind: "stop_requested" } | null> => {
  const { run, step, wait, totals } = input;
  const found = await sql<StandOfThings>`
    select stop_requested_at is not null as stop_requested,
      extract(epoch from deadline_at - clock_timestamp())::float8 * 1000 as left_ms,
      (select count(*)::int from cortex.run_waits where run_id = agent_runs.id and step = ${step}) as waits,
      (select coalesce(sum(extract(epoch from coalesce(ended_at, clock_timestamp()) - began_at)), 0)::float8 * 1000
        from cortex.run_waits where run_id = agent_runs.id and step = ${step}) as waited_ms
    from cortex.agent_runs where id = ${run.id} and attempt = ${run.attempt} and status = 'running'
    for update`.execute(tx);
  const [stand] = found.rows;
  if (!stand) return null;
  if (stand.stop_requested) return { kind: "stop_requested" };
  const verdict = judgeWait(
    {
      askedMs: wait.retryAfterMs,
      waits: stand.waits,
      waitedMs: stand.waited_ms,
      maxWaitMs: input.maxWaitMs,
      leftMs: stand.left_ms ?? Number.POSITIVE_INFINITY,
    },
    Math.random(),
  );
  if (verdict.kind === "give_up") return verdict;

  const { usage, cost_usd: costUsd } = wait.unreported;
  // Whole milliseconds: the log says them, and the log that is rebuilt must say the same.
  const written = await sql<RunWait>`
    with clock as (
      select date_trunc('milliseconds', clock_timestamp()) as now
    ), parked as (
      update cortex.agent_runs set
        status = 'waiting',
        last_write_id = ${input.writeId},
        resume_at = clock.now + ${verdict.waitMs} * interval '1 millisecond',
        lease_until = null,
        admitted_at = null,
        wait_unlogged_since = clock.now,
        attempts_since_step = greatest(0, attempts_since_step - 1),
        usage = ${jsonText(addUsage(totals.usage, usage))}::jsonb,
        cost_usd = ${addUsd(totals.costUsd, costUsd)}::numeric
      from clock where id = ${run.id}
      returning id, account_id, attempt, resume_at, clock.now
    )
    insert into cortex.run_waits (run_id, attempt, account_id, step, reason, began_at, resume_at)
    select id, attempt, account_id, ${step}, ${wait.reason}, now, resume_at from parked
    returning *`.execute(tx);
  const [row] = written.rows;
  if (!row) return null;
  if (costUsd !== "0") {
    const { id: runId, account_id: accountId, attempt } = run;
    await settleUsage(tx, { accountId, runId, step, costUsd, brokenOffIn: attempt });
  }
  return { kind: "parked", wait: row };
};
