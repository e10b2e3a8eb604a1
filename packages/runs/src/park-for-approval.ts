import { asAccount, type Db, jsonText, type Tx } from "@cortex/db";
import { failpoint } from "@cortex/failpoints";
import { sql } from "kysely";
import type { ApprovalWait } from "./engine-events.ts";
import type { LogSink } from "./log-sink.ts";
import type { OpenStep } from "./open-step.ts";
import type { Outlast } from "./outlast.ts";
import { type Parked, readOwnWait } from "./park-run.ts";
import { FencedError, type RunRow } from "./run.ts";
import { type RunWait, waitingEvent } from "./run-waits.ts";

export interface ParkForApprovalInput {
  run: RunRow;
  /** The step whose calls wait; its answer is stored. */
  open: OpenStep;
  wait: ApprovalWait;
  /** See RunSettings. */
  maxApprovalMs: number;
}

/**
 * Lets a run wait for people: status, the calls they are asked about, and no lease and no place any more, in one transaction of the attempt that
 * holds it; then its log says so and stays open. Only decisions about all of the calls bring it back (decide-approval.ts). Its
 * deadline is set aside for the time when the wait expires.
 *
 * Not if a stop was asked for: whoever asked found a running run and left the end to us.
 * @throws FencedError
 */
export const parkForApproval = async (
  deps: { db: Db; sink: LogSink; outlast: Outlast },
  input: ParkForApprovalInput,
): Promise<Parked> => {
  const { run, wait } = input;
  const writeId = crypto.randomUUID();
  const parked = await deps.outlast(() =>
    asAccount(deps.db, { accountId: run.account_id }, async (tx) => {
      const done = await parkInTransaction(tx, { ...input, writeId });
      if (done) return done;
      // Parked before, and the answer to that was lost?
      const own = await readOwnWait(tx, { run, writeId });
      if (!own) throw new FencedError(run.id, run.attempt);
      return own;
    }),
  );
  if (parked === "stop_requested") return { kind: "ends", outcome: stopped(input) };
  await failpoint("park.after_commit");
  await deps.sink.durable([waitingEvent(parked, wait.approvals)]);
  return { kind: "parked", until: parked.expires_at ?? parked.began_at, logged: !deps.sink.isBehind() };
};

/** Null: the run is not this attempt's (any more). */
const parkInTransaction = async (
  tx: Tx,
  input: ParkForApprovalInput & { writeId: string },
): Promise<RunWait | "stop_requested" | null> => {
  const { run, open, wait } = input;
  const found = await sql<{ stop_requested: boolean }>`
    select stop_requested_at is not null as stop_requested from cortex.agent_runs
    where id = ${run.id} and attempt = ${run.attempt} and status = 'running'
    for update`.execute(tx);
  const [stand] = found.rows;
  if (!stand) return null;
  if (stand.stop_requested) return "stop_requested";
  const asked = wait.approvals.map(({ tool_call_id: callId, digest }) => ({ callId, digest }));
  // Whole milliseconds: the log says them, and the log that is rebuilt must say the same.
  const written = await sql<RunWait>`
    with clock as (
      select date_trunc('milliseconds', clock_timestamp()) as now
    ), before as (
      select id, deadline_at from cortex.agent_runs where id = ${run.id}
    ), parked as (
      update cortex.agent_runs set
        status = 'waiting',
        last_write_id = ${input.writeId},
        resume_at = null,
        deadline_at = clock.now + ${input.maxApprovalMs} * interval '1 millisecond',
        lease_until = null,
        admitted_at = null,
        wait_unlogged_since = clock.now,
        attempts_since_step = greatest(0, attempts_since_step - 1)
      from clock, before where agent_runs.id = before.id
      returning agent_runs.id, account_id, attempt, agent_runs.deadline_at as expires_at, before.deadline_at, clock.now
    ), asked as (
      insert into cortex.tool_approvals (run_id, call_id, account_id, attempt, digest)
      select parked.id, a."callId", parked.account_id, parked.attempt, a.digest
      from parked, jsonb_to_recordset(${jsonText(asked)}::jsonb) as a("callId" text, digest text)
    )
    insert into cortex.run_waits (run_id, attempt, account_id, step, reason, began_at, expires_at, deadline_at)
    select id, attempt, account_id, ${open.step}, ${wait.reason}, now, expires_at, deadline_at from parked
    returning *`.execute(tx);
  return written.rows[0] ?? null;
};

/** The stop came first: none of the calls has begun, nobody is asked. */
const stopped = ({ open, wait }: ParkForApprovalInput) => ({
  kind: "aborted" as const,
  interrupted: null,
  unfinished: open.calls
    .filter(({ request }) => !open.results.has(request.id))
    .map(({ request }) => ({
      tool_call_id: request.id,
      name: request.name,
      result: "The call was not started because the run was ended.",
      effect_state: "none" as const,
    })),
  aborted: wait.approvals.map(({ name }) => `approval of ${name}`),
  killed: [],
  unreported: wait.unreported,
});
