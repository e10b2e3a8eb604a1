-- A tool call may need a person: its run waits, without a worker and for days if need be, until somebody has decided.

-- `awaiting`: nobody has decided whether it may act. Calls of the same answer that need nobody are `released` meanwhile.
alter table cortex.tool_calls
  drop constraint tool_calls_state_check,
  add constraint tool_calls_state_check check (state in ('started', 'awaiting', 'released', 'done', 'failed', 'unknown')),
  -- Null: never claimed, because the run waits for a decision or was ended in that wait.
  alter column started_at drop not null;

alter table cortex.run_waits
  drop constraint run_waits_reason_check,
  add constraint run_waits_reason_check check (reason in ('provider_limit', 'approval')),
  alter column resume_at drop not null,
  -- A wait for a person ends with the decision, or the run fails at this time.
  add column expires_at timestamptz,
  -- The run's own deadline when it began: time that people take is not the run's, so it moves by as much.
  add column deadline_at timestamptz,
  add constraint run_waits_end check (
    case reason when 'provider_limit' then resume_at is not null and expires_at is null
      else resume_at is null and expires_at is not null end);

comment on column cortex.agent_runs.resume_at is
  'While it is waiting: when it gets in line again; null if it waits for a person. The wait itself stands in run_waits.';
comment on column cortex.agent_runs.deadline_at is
  'When the run must have ended. While it waits for a person: until when it may.';

-- One row for each call that a person has to decide about; the decision is made once.
create table cortex.tool_approvals (
  run_id uuid not null,
  call_id text not null,
  -- No foreign key, as with messages.
  account_id uuid not null,
  -- The attempt that ended with the wait.
  attempt int not null,
  -- Of the call's name and arguments: what was shown is what is decided about, and what runs.
  digest text not null check (digest ~ '^[0-9a-f]{64}$'),
  decision text check (decision in ('approve', 'reject', 'edit')),
  edited_arguments jsonb,
  comment text,
  decided_by uuid,
  decided_at timestamptz,
  primary key (run_id, call_id),
  foreign key (run_id, call_id) references cortex.tool_calls (run_id, call_id) on delete cascade,
  check ((decision is null) = (decided_at is null) and (decision is null) = (decided_by is null)),
  check (coalesce(decision = 'edit', false) = (edited_arguments is not null)),
  check (comment is null or decision is not null)
);

create function cortex.guard_tool_approval() returns trigger
  language plpgsql set search_path = ''
  as $$
  begin
    if old.decision is not null or new.digest <> old.digest then
      raise exception 'call % of run % is decided', old.call_id, old.run_id using errcode = 'integrity_constraint_violation';
    end if;
    return new;
  end $$;
revoke execute on function cortex.guard_tool_approval() from public;
create trigger guard_tool_approval before update on cortex.tool_approvals
  for each row execute function cortex.guard_tool_approval();

alter table cortex.tool_approvals enable row level security;
grant select on cortex.tool_approvals to cortex_api;
grant select, insert on cortex.tool_approvals to cortex_worker;
create policy api_reads on cortex.tool_approvals for select to cortex_api using (account_id in (select cortex.readable_accounts()));
create policy worker_reads on cortex.tool_approvals for select to cortex_worker using (account_id = cortex.current_account_id());
create policy worker_inserts on cortex.tool_approvals for insert to cortex_worker with check (account_id = cortex.current_account_id());

-- What the API may do to a run that waits for people, and nothing else: it has no right to write decisions, waits or calls itself. Each function
-- expects the row of the run to be locked by its caller.

-- A decision of the current user, once, about exactly what was shown. False: there is nothing like that to decide.
create function cortex.decide_tool_call(
  asked_run_id uuid, asked_call_id text, shown_digest text, new_decision text, new_arguments jsonb, new_comment text
) returns boolean
  language sql volatile security definer set search_path = ''
  as $$
    with decided as (
      update cortex.tool_approvals set
        decision = new_decision,
        edited_arguments = new_arguments,
        comment = new_comment,
        decided_by = cortex.current_user_id(),
        -- Whole milliseconds: the log says them, and the log that is rebuilt must say the same.
        decided_at = date_trunc('milliseconds', clock_timestamp())
      from cortex.agent_runs
      where tool_approvals.run_id = asked_run_id and tool_approvals.call_id = asked_call_id
        and tool_approvals.digest = shown_digest and tool_approvals.decision is null
        and agent_runs.id = tool_approvals.run_id and agent_runs.status = 'waiting' and agent_runs.attempt = tool_approvals.attempt
        and agent_runs.account_id in (select cortex.writable_accounts())
      returning 1
    )
    select exists (select from decided)
  $$;

-- The run gets in line again, at the place of its age, if everything is decided. The time that people took is not the run's.
create function cortex.end_wait_for_people(waiting_run_id uuid) returns boolean
  language sql volatile security definer set search_path = ''
  as $$
    with in_line as (
      update cortex.agent_runs set
        status = 'queued',
        deadline_at = run_waits.deadline_at + (clock_timestamp() - run_waits.began_at)
      from cortex.run_waits
      where agent_runs.id = waiting_run_id and agent_runs.status = 'waiting'
        and agent_runs.account_id in (select cortex.writable_accounts())
        and run_waits.run_id = agent_runs.id and run_waits.attempt = agent_runs.attempt and run_waits.reason = 'approval'
        and not exists (
          select from cortex.tool_approvals
          where tool_approvals.run_id = agent_runs.id and tool_approvals.attempt = agent_runs.attempt and decision is null)
      returning agent_runs.id, agent_runs.account_id, agent_runs.attempt, agent_runs.created_at
    ), ended as (
      update cortex.run_waits set ended_at = date_trunc('milliseconds', clock_timestamp())
      from in_line where run_waits.run_id = in_line.id and run_waits.attempt = in_line.attempt
    ), queued as (
      insert into cortex.outbox (run_id, account_id, created_at) select id, account_id, created_at from in_line
    )
    select exists (select from in_line)
  $$;

-- Calls that never began, of a run that was ended while it waited.
create function cortex.settle_calls_not_begun(ended_run_id uuid, result_text text) returns void
  language sql volatile security definer set search_path = ''
  as $$
    update cortex.tool_calls set
      state = 'failed', result = result_text, is_error = true, ended_at = clock_timestamp(),
      -- Of the last attempt that worked: ending the run has raised the number once more.
      attempt = greatest(tool_calls.attempt, agent_runs.attempt - 1)
    from cortex.agent_runs
    where tool_calls.run_id = ended_run_id and tool_calls.ended_at is null and tool_calls.state in ('awaiting', 'released')
      and agent_runs.id = tool_calls.run_id and agent_runs.status in ('completed', 'failed', 'stopped')
      and agent_runs.account_id in (select cortex.writable_accounts())
  $$;

revoke execute on function
  cortex.decide_tool_call(uuid, text, text, text, jsonb, text), cortex.end_wait_for_people(uuid), cortex.settle_calls_not_begun(uuid, text)
  from public;
grant execute on function
  cortex.decide_tool_call(uuid, text, text, text, jsonb, text), cortex.end_wait_for_people(uuid), cortex.settle_calls_not_begun(uuid, text)
  to cortex_api;
