-- Runs: one execution of an agent on a thread, from the start request to exactly one terminal status.
-- Postgres decides, the queue delivers: every write of a worker is conditional on (status = 'running', attempt = its own).

create table cortex.agent_runs (
  id uuid primary key default gen_random_uuid(),
  account_id uuid not null references cortex.accounts (id) on delete cascade,
  project_id uuid not null references cortex.projects (id) on delete cascade,
  thread_id uuid not null references cortex.threads (id) on delete cascade,
  agent_id uuid not null,
  agent_version_id uuid not null,
  created_by uuid,
  request_id text not null,
  model text not null,
  tools text[],
  max_cost_usd numeric(20, 10) check (max_cost_usd >= 0),
  metadata jsonb not null default '{}',
  status text not null default 'queued'
    check (status in ('queued', 'running', 'waiting', 'completed', 'failed', 'stopped')),

  -- The fence: a write of a lower attempt changes nothing, anywhere.
  attempt int not null default 0,
  -- Attempts since the last committed step: the cap on poison runs counts these.
  attempts_since_step int not null default 0,
  -- How often the run was given to the queue; part of the job id, so that no job id is ever used twice.
  delivery int not null default 0,
  admitted_at timestamptz,
  worker_id text,
  claimed_at timestamptz,
  lease_until timestamptz,
  deadline_at timestamptz,
  -- While it is `waiting`: when it gets in line again. The wait itself stands in run_waits.
  resume_at timestamptz,
  -- Of its worker: names the last claim or write that took effect, so that one whose answer was lost is recognised and not done twice.
  last_write_id uuid,

  -- The live log: its generation, and its last cursor once it is closed.
  log_epoch int not null default 1,
  -- When it was raised: whoever did so is about to make the list.
  log_epoch_raised_at timestamptz,
  log_cursor text,

  stop_requested_at timestamptz,
  stop_requested_by uuid,
  stop_receipt jsonb,
  error jsonb,
  usage jsonb not null default
    '{"input_tokens":0,"cached_input_tokens":0,"cache_write_tokens":0,"output_tokens":0,"reasoning_tokens":0,"estimated":false}',
  cost_usd numeric(20, 10) not null default 0,
  reserved_usd numeric(20, 10) not null default 0,

  created_at timestamptz not null default now(),
  started_at timestamptz,
  completed_at timestamptz,
  -- The trace of an ended run is still to be sent, from then on; null: it was, or it is not wanted any more. And where it has got to.
  trace_due_at timestamptz,
  traced_to text[] not null default '{}',
  -- Counted by the trigger below; anything but 1 on an ended run is a broken invariant.
  terminal_writes int not null default 0,
  foreign key (agent_id, agent_version_id) references cortex.agent_versions (agent_id, id) on delete cascade
) with (fillfactor = 80); -- room for the next version of a row in its own page
create unique index agent_runs_one_active_per_thread on cortex.agent_runs (thread_id)
  where status in ('queued', 'running', 'waiting');
create index agent_runs_by_account on cortex.agent_runs (account_id, created_at desc, id desc);
create index agent_runs_by_thread on cortex.agent_runs (thread_id, created_at desc, id desc);
-- For the deletion of what they point at. None of these columns ever changes, so an update stays in its page.
create index agent_runs_by_project on cortex.agent_runs (project_id);
create index agent_runs_by_agent_version on cortex.agent_runs (agent_id, agent_version_id);
create index agent_runs_active on cortex.agent_runs (account_id) where status in ('queued', 'running', 'waiting');
create index agent_runs_holding_a_slot on cortex.agent_runs (account_id)
  where status = 'running' or (status = 'queued' and admitted_at is not null);
-- Those whose wait is over, and those whose time is up while nobody executes them. Runs that never waited are in neither.
create index agent_runs_by_resume on cortex.agent_runs (resume_at) where status = 'waiting';
create index agent_runs_unheld_with_deadline on cortex.agent_runs (deadline_at)
  where status in ('queued', 'waiting') and deadline_at is not null;
-- No index on lease_until: running runs are as few as the fleet has slots, and a heartbeat must not touch an index.
create index agent_runs_unclosed_log on cortex.agent_runs (completed_at)
  where log_cursor is null and status in ('completed', 'failed', 'stopped');
create index agent_runs_by_trace on cortex.agent_runs (trace_due_at) where trace_due_at is not null;

create function cortex.guard_agent_run() returns trigger
  language plpgsql set search_path = ''
  as $$
  begin
    if old.status in ('completed', 'failed', 'stopped') and new.status is distinct from old.status then
      raise exception 'run % has ended as % and stays so', old.id, old.status using errcode = 'integrity_constraint_violation';
    end if;
    if new.attempt < old.attempt or new.log_epoch < old.log_epoch or new.delivery < old.delivery then
      raise exception 'attempt, epoch and delivery of run % never go back', old.id using errcode = 'integrity_constraint_violation';
    end if;
    if new.status in ('completed', 'failed', 'stopped') and old.status not in ('completed', 'failed', 'stopped') then
      new.terminal_writes := old.terminal_writes + 1;
      new.completed_at := coalesce(new.completed_at, clock_timestamp());
      new.trace_due_at := new.completed_at;
    end if;
    return new;
  end $$;
revoke execute on function cortex.guard_agent_run() from public;
create trigger guard_agent_run before update on cortex.agent_runs
  for each row execute function cortex.guard_agent_run();

create table cortex.run_steps (
  run_id uuid not null references cortex.agent_runs (id) on delete cascade,
  step int not null check (step >= 0),
  -- No foreign key, as with messages.
  account_id uuid not null,
  attempt int not null,
  model text not null,
  finish_reason text,
  usage jsonb not null,
  cost_usd numeric(20, 10) not null default 0,
  duration_ms int not null default 0,
  -- The model was asked with the thread's messages below this seq; what people posted from there on, it has not seen.
  seen_seq int not null,
  started_at timestamptz not null,
  -- Null while tool calls of this step are under way.
  ended_at timestamptz,
  primary key (run_id, step)
);

create table cortex.tool_calls (
  run_id uuid not null references cortex.agent_runs (id) on delete cascade,
  call_id text not null,
  account_id uuid not null,
  step int not null,
  position int not null,
  name text not null,
  arguments jsonb not null,
  effect text not null check (effect in ('pure', 'idempotent', 'once')),
  -- `started` is the claim, written before the tool acts; `released`: its worker let go of it before it began.
  state text not null check (state in ('started', 'released', 'done', 'failed', 'unknown')),
  attempt int not null,
  result text,
  is_error boolean not null default false,
  duration_ms int,
  started_at timestamptz not null default now(),
  ended_at timestamptz,
  primary key (run_id, call_id)
);

-- Waits of a run that hold no worker: run.waiting and run.resumed of its log. An attempt ends with its wait, so its number names the wait.
create table cortex.run_waits (
  run_id uuid not null references cortex.agent_runs (id) on delete cascade,
  attempt int not null,
  account_id uuid not null,
  -- The step that the wait keeps from its answer.
  step int not null,
  reason text not null check (reason in ('provider_limit')),
  began_at timestamptz not null default clock_timestamp(),
  resume_at timestamptz not null,
  -- When the run got in line again; null while it waits, and for ever if it was ended in its wait.
  ended_at timestamptz,
  primary key (run_id, attempt)
);

-- The queue of truth: one row for each run that nobody has claimed yet.
create table cortex.outbox (
  run_id uuid primary key references cortex.agent_runs (id) on delete cascade,
  account_id uuid not null,
  created_at timestamptz not null default now(),
  -- When the run was given a place in the fleet (and so, after the commit, to BullMQ).
  admitted_at timestamptz
);
create index outbox_waiting on cortex.outbox (account_id, created_at, run_id) where admitted_at is null;
create index outbox_admitted on cortex.outbox (admitted_at) where admitted_at is not null;

-- The fleet, as far as admission needs to know it.
create table cortex.workers (
  id text primary key,
  concurrency int not null check (concurrency > 0),
  draining boolean not null default false,
  started_at timestamptz not null default now(),
  heartbeat_at timestamptz not null default now()
);

alter table cortex.agent_runs enable row level security;
alter table cortex.run_steps enable row level security;
alter table cortex.tool_calls enable row level security;
alter table cortex.run_waits enable row level security;
alter table cortex.outbox enable row level security;
alter table cortex.workers enable row level security;

grant select, insert, update, delete on cortex.agent_runs to cortex_api;
grant select on cortex.run_steps, cortex.tool_calls, cortex.run_waits to cortex_api;
grant insert, delete on cortex.outbox to cortex_api;
grant select (run_id, account_id, created_at, admitted_at) on cortex.outbox to cortex_api;
grant select, update on cortex.agent_runs to cortex_worker;
grant select, insert, update on cortex.run_steps, cortex.tool_calls to cortex_worker;
grant select, insert on cortex.run_waits to cortex_worker;
grant select, update, delete on cortex.outbox to cortex_worker;
grant select, insert, update, delete on cortex.workers to cortex_worker;

create policy api_reads on cortex.agent_runs for select to cortex_api using (account_id in (select cortex.readable_accounts()));
create policy api_inserts on cortex.agent_runs for insert to cortex_api with check (account_id in (select cortex.writable_accounts()));
create policy api_updates on cortex.agent_runs for update to cortex_api
  using (account_id in (select cortex.writable_accounts())) with check (account_id in (select cortex.writable_accounts()));
create policy api_deletes on cortex.agent_runs for delete to cortex_api using (account_id in (select cortex.writable_accounts()));
create policy api_reads on cortex.run_steps for select to cortex_api using (account_id in (select cortex.readable_accounts()));
create policy api_reads on cortex.tool_calls for select to cortex_api using (account_id in (select cortex.readable_accounts()));
create policy api_reads on cortex.run_waits for select to cortex_api using (account_id in (select cortex.readable_accounts()));
create policy api_reads on cortex.outbox for select to cortex_api using (account_id in (select cortex.readable_accounts()));
create policy api_inserts on cortex.outbox for insert to cortex_api with check (account_id in (select cortex.writable_accounts()));
create policy api_deletes on cortex.outbox for delete to cortex_api using (account_id in (select cortex.writable_accounts()));

-- Claiming, leasing and sweeping are fleet-wide: a worker sees every run's control row, but the content of a run (messages, steps, tool
-- calls, money) only under the account that its transaction names.
create policy worker_reads on cortex.agent_runs for select to cortex_worker using (true);
create policy worker_updates on cortex.agent_runs for update to cortex_worker using (true) with check (true);
create policy worker_all on cortex.outbox for all to cortex_worker using (true) with check (true);
create policy worker_all on cortex.workers for all to cortex_worker using (true) with check (true);
create policy worker_reads on cortex.run_steps for select to cortex_worker using (account_id = cortex.current_account_id());
create policy worker_inserts on cortex.run_steps for insert to cortex_worker with check (account_id = cortex.current_account_id());
create policy worker_updates on cortex.run_steps for update to cortex_worker
  using (account_id = cortex.current_account_id()) with check (account_id = cortex.current_account_id());
create policy worker_reads on cortex.run_waits for select to cortex_worker using (account_id = cortex.current_account_id());
create policy worker_inserts on cortex.run_waits for insert to cortex_worker with check (account_id = cortex.current_account_id());
create policy worker_reads on cortex.tool_calls for select to cortex_worker using (account_id = cortex.current_account_id());
create policy worker_inserts on cortex.tool_calls for insert to cortex_worker with check (account_id = cortex.current_account_id());
create policy worker_updates on cortex.tool_calls for update to cortex_worker
  using (account_id = cortex.current_account_id()) with check (account_id = cortex.current_account_id());

-- Whoever finds a run's live log lost opens its next epoch, by compare-and-set. A function, because whoever may only read a run may find
-- that out, too; it changes nothing but the number, and only for a run that the caller sees. False: somebody has raised it a moment ago, and
-- their list is to be waited for; one second is a hundred times what they need for it.
create function cortex.raise_log_epoch(lost_run_id uuid, lost_epoch int) returns boolean
  language sql volatile security definer set search_path = ''
  as $$
    with raised as (
      update cortex.agent_runs set log_epoch = lost_epoch + 1, log_epoch_raised_at = clock_timestamp()
      where id = lost_run_id and log_epoch = lost_epoch
        and (log_epoch_raised_at is null or log_epoch_raised_at < clock_timestamp() - interval '1 second')
        and (account_id in (select cortex.readable_accounts())
          or (cortex.current_user_id() is null and account_id = cortex.current_account_id()))
      returning 1
    )
    select exists (select from raised)
  $$;
revoke execute on function cortex.raise_log_epoch(uuid, int) from public;
grant execute on function cortex.raise_log_epoch(uuid, int) to cortex_api, cortex_worker;
