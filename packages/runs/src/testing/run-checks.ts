import { isTerminalEvent, type UnplacedEvent } from "@cortex/contracts";
import { durableEvents, eventIdentity } from "../durable-events.ts";
import { ensureLog } from "../ensure-log.ts";
import type { RunWorld, WorldRun } from "./run-world.ts";

/** What the table of runs and the outbox say of a run. */
export interface RunControl {
  id: string;
  status: string;
  attempt: number;
  delivery: number;
  admitted: boolean;
  since_step: number;
  held: boolean;
  stop: boolean;
  terminal_writes: number;
  in_outbox: boolean;
  waits: number;
}

/** In the order in which they were started. */
export const readControl = async ({ database }: RunWorld): Promise<RunControl[]> => {
  const { rows } = await database.owner.query<RunControl>(
    `select id, status, attempt, delivery, agent_runs.admitted_at is not null as admitted, attempts_since_step as since_step,
       status = 'running' and lease_until > clock_timestamp() as held, stop_requested_at is not null as stop, terminal_writes,
       outbox.run_id is not null as in_outbox,
       (select count(*)::int from cortex.run_waits where run_waits.run_id = agent_runs.id) as waits
     from cortex.agent_runs left join cortex.outbox on outbox.run_id = agent_runs.id order by agent_runs.created_at`,
  );
  return rows;
};

/** Everything that is stored about a run, as one word. */
export const contentOf = async ({ database }: RunWorld, runId: string): Promise<string> => {
  const { rows } = await database.owner.query<{ word: string }>(
    `select md5(concat(
       (select run::text from cortex.agent_runs run where id = $1),
       (select string_agg(each::text, '' order by seq) from cortex.messages each
         where thread_id = (select thread_id from cortex.agent_runs where id = $1)),
       (select string_agg(each::text, '' order by step) from cortex.run_steps each where run_id = $1),
       (select string_agg(each::text, '' order by attempt) from cortex.run_waits each where run_id = $1),
       (select string_agg(each::text, '' order by call_id) from cortex.tool_calls each where run_id = $1),
       (select string_agg(each::text, '' order by call_id) from cortex.tool_approvals each where run_id = $1),
       (select string_agg(each::text, '' order by id) from cortex.ledger_entries each where run_id = $1))) as word`,
    [runId],
  );
  return rows[0]?.word ?? "";
};

/** What must be true at any moment, as the names of what is not. */
export const violations = async ({ database }: RunWorld): Promise<string[]> => {
  const { rows } = await database.owner.query<{ violation: string }>(
    `with ended as (select *, status in ('completed', 'failed', 'stopped') as over from cortex.agent_runs)
     select 'two active runs on a thread' as violation from ended where not over group by thread_id having count(*) > 1
     union all select 'terminal writes' from ended where terminal_writes <> over::int
     union all select 'an outbox row without a queued run' from cortex.outbox join ended on id = run_id where status <> 'queued'
     union all select 'a queued run without its outbox row' from ended
       where status = 'queued' and not exists (select 1 from cortex.outbox where run_id = id)
     union all select 'admitted in one place only' from cortex.outbox join ended on id = run_id
       where (outbox.admitted_at is null) <> (ended.admitted_at is null)
     union all select 'a waiting run that holds a place or has no time' from ended
       where status = 'waiting' and (admitted_at is not null or lease_until is not null or (resume_at is null and not exists (
         select 1 from cortex.tool_approvals where run_id = ended.id and tool_approvals.attempt = ended.attempt and decision is null)))
     union all select 'more parallel runs than the plan has' from ended join cortex.accounts on accounts.id = account_id
       join cortex.plans on plans.id = plan_id where status = 'running' or (status = 'queued' and admitted_at is not null)
       group by account_id, max_parallel_runs having count(*) > max_parallel_runs
     union all select 'a gap in a conversation' from cortex.threads
       where next_seq <> (select count(*) from cortex.messages where thread_id = threads.id)
     union all select 'a balance that is not the sum of its ledger' from cortex.account_balances balance
       where balance_usd <> (select sum(amount_usd) from cortex.ledger_entries entry where entry.account_id = balance.account_id)
     union all select 'a reservation that did not come back' from ended
       where over and 0 <> (select coalesce(sum(amount_usd), 0) from cortex.ledger_entries
         where run_id = ended.id and kind in ('reserve', 'release'))
     union all select 'a charge that is not the cost' from ended
       where over and -cost_usd <> (select coalesce(sum(amount_usd), 0) from cortex.ledger_entries where run_id = ended.id and kind = 'usage')
     union all select 'a call that acted before people decided' from cortex.tool_approvals join cortex.tool_calls using (run_id, call_id)
       where coalesce(decision, 'reject') = 'reject' and tool_calls.started_at is not null
     union all select 'a call that acted before people decided about its neighbour' from cortex.tool_approvals
       join cortex.tool_calls asked using (run_id, call_id) join cortex.tool_calls on tool_calls.run_id = asked.run_id and tool_calls.step = asked.step
       where decision is null and tool_calls.started_at is not null
     union all select 'a call that is done and never began' from cortex.tool_calls
       where state = 'done' and not is_error and started_at is null
     union all select 'a call that nobody has settled' from ended join cortex.tool_calls on run_id = ended.id
       where over and tool_calls.ended_at is null`,
  );
  return rows.map(({ violation }) => violation);
};

/** Begun, and nothing of it stored: an attempt or a step that came to nothing, an answer that was taken back. */
const mayBeUnstored = ({ type }: UnplacedEvent): boolean =>
  type === "attempt.started" || type === "step.started" || type === "message.discarded";

/**
 * A live log without its previews says what Postgres says, in that order, and has one end. Only a new attempt stands where it began, in the
 * log, and before the first step that it stored, in Postgres.
 */
export const logFaults = async (world: RunWorld, run: WorldRun): Promise<string[]> => {
  // As a late follower does: a log that was lost when it had its end is made anew for whoever asks.
  const scope = { userId: null, accountId: run.place.accountId };
  await ensureLog({ db: world.worker.db, log: world.log }, { runId: run.runId, scope, as: "reader" });
  const stored = await world.factsOf(run.runId, run.place.accountId);
  if (!stored) return ["no such run"];
  const wanted = durableEvents(stored);
  const known = new Set(wanted.map(eventIdentity));
  const entries = world.log.entries(run.runId).filter(({ type }) => !type.endsWith(".delta") && type !== "resync");
  const held = entries.filter((event) => known.has(eventIdentity(event)) || !mayBeUnstored(event));
  const ends = entries.flatMap((event, index) => (isTerminalEvent(event) ? [index] : []));
  const attempts = (events: readonly UnplacedEvent[]) =>
    events.flatMap((event) => (event.type === "attempt.started" ? [event.attempt] : []));
  const rest = (events: readonly UnplacedEvent[]) =>
    events
      .filter(({ type }) => type !== "attempt.started")
      .map(eventIdentity)
      .join(", ");
  return [
    ...(rest(held) === rest(wanted) ? [] : [`the log says ${rest(held)}; stored is ${rest(wanted)}`]),
    ...(attempts(held).join() === attempts(wanted).join() ? [] : [`attempts ${attempts(entries).join()}`]),
    ...(ends.length === 1 && ends[0] === entries.length - 1 ? [] : [`ends at ${ends.join()} of ${entries.length}`]),
  ];
};
