-- Admission: which waiting runs get a place in the fleet. Fairness, position and reason are plain SQL.
-- These functions run as their owner, because a caller of one account must be weighed against all the others without seeing them.

-- In plpgsql where it is called often: that keeps its plans for the session.

-- The runs that the fleet executes at once. A worker that has not been heard of for this long offers nothing (its heartbeat comes every
-- second).
create function cortex.fleet_slots() returns int
  language plpgsql stable security definer set search_path = ''
  as $$
  begin
    return coalesce((select sum(concurrency) from cortex.workers
      where not draining and heartbeat_at > now() - interval '10 seconds'), 0);
  end $$;

-- The runs that may be in BullMQ at once: every slot, and a small buffer so that no slot waits for an admission.
create function cortex.fleet_capacity() returns int
  language plpgsql stable security definer set search_path = ''
  as $$
  declare
    slots int := cortex.fleet_slots();
  begin
    return case when slots = 0 then 0 else slots + greatest(2, slots / 2) end;
  end $$;

create function cortex.slots_taken() returns int
  language plpgsql stable security definer set search_path = ''
  as $$
  begin
    return (select count(*) from cortex.agent_runs
      where status = 'running' or (status = 'queued' and admitted_at is not null));
  end $$;

-- Waiting runs in their fair order: first whoever's account would hold the fewest places, then the oldest. `turn` is the number of
-- places the account would hold with this run; beyond the plan's limit of parallel runs it is not eligible.
create view cortex.admission_order as
  with taken as (
    select account_id, count(*)::int as places from cortex.agent_runs
    where status = 'running' or (status = 'queued' and admitted_at is not null)
    group by account_id
  ), ranked as (
    select waiting.run_id, waiting.account_id, waiting.created_at,
      (coalesce(taken.places, 0) + row_number() over (partition by waiting.account_id order by waiting.created_at, waiting.run_id))::int as turn
    from cortex.outbox waiting left join taken using (account_id)
    where waiting.admitted_at is null
  )
  select ranked.*, plans.max_parallel_runs,
    (plans.max_parallel_runs is null or ranked.turn <= plans.max_parallel_runs) as eligible
  from ranked
    join cortex.accounts on accounts.id = ranked.account_id
    join cortex.plans on plans.id = accounts.plan_id;

-- How many of those who wait could run now if there was room: an account at its limit, however many runs it has waiting, keeps nobody else
-- from starting at once.
create function cortex.eligible_waiting() returns int
  language plpgsql volatile security definer set search_path = ''
  as $$
  begin
    -- Nearly always nobody waits, and this is all there is to it.
    if not exists (select 1 from cortex.outbox where admitted_at is null) then
      return 0;
    end if;
    return (
      select coalesce(sum(case when plans.max_parallel_runs is null then waiting.runs
        else least(waiting.runs, greatest(0, plans.max_parallel_runs - coalesce(taken.places, 0))) end), 0)
      from (select account_id, count(*) as runs from cortex.outbox where admitted_at is null group by account_id) waiting
        join cortex.accounts on accounts.id = waiting.account_id
        join cortex.plans on plans.id = accounts.plan_id
        left join (
          select account_id, count(*) as places from cortex.agent_runs
          where status = 'running' or (status = 'queued' and admitted_at is not null)
          group by account_id
        ) taken on taken.account_id = waiting.account_id
    );
  end $$;

-- Parked runs whose wait is over get in line again, at the place of their age: from here on they are weighed like everybody else. Nearly
-- always there is none, and one look into a small index says so. One that is being stopped is passed over.
create function cortex.end_waits() returns void
  language plpgsql volatile security definer set search_path = ''
  as $$
  begin
    if not exists (select 1 from cortex.agent_runs where status = 'waiting' and resume_at <= now()) then
      return;
    end if;
    with due as (
      select id from cortex.agent_runs where status = 'waiting' and resume_at <= now()
      order by resume_at limit 1000
      for update skip locked
    ), in_line as (
      update cortex.agent_runs set status = 'queued', resume_at = null
      where id in (select due.id from due) and status = 'waiting'
      returning id, account_id, attempt, created_at
    ), ended as (
      update cortex.run_waits set ended_at = clock_timestamp()
      from in_line where run_waits.run_id = in_line.id and run_waits.attempt = in_line.attempt
    )
    insert into cortex.outbox (run_id, account_id, created_at) select id, account_id, created_at from in_line;
  end $$;

-- Admits as many waiting runs as there is room for. Whoever calls it delivers them after its commit; what is not delivered (a crash in
-- between, Redis down) is found again by the sweeper, because the outbox row stays until the run is claimed.
create function cortex.admit_runs(batch int) returns table (run_id uuid, delivery int)
  language plpgsql volatile security definer set search_path = ''
  as $$
  declare
    free int;
  begin
    perform cortex.end_waits();
    if cortex.eligible_waiting() = 0 then
      return;
    end if;
    -- One at a time, so that two who count the same free places do not both fill them. Each statement below sees what the one before has
    -- committed.
    perform pg_catalog.pg_advisory_xact_lock(7262021);
    free := least(batch, cortex.fleet_capacity() - cortex.slots_taken());
    if free <= 0 then
      return;
    end if;
    -- A run's row is locked before its outbox row, as whoever ends or claims a run does; the other way round is a deadlock with a stop.
    return query
      with taken as (
        select account_id, count(*)::int as places from cortex.agent_runs
        where status = 'running' or (status = 'queued' and admitted_at is not null)
        group by account_id
      ), chosen as (
        -- The fair order of admission_order, but of each account only as many as could be chosen: one may have thousands waiting, and this
        -- is asked whenever a place becomes free.
        select next.run_id
        from (select distinct outbox.account_id from cortex.outbox where admitted_at is null) waiting
          join cortex.accounts on accounts.id = waiting.account_id
          join cortex.plans on plans.id = accounts.plan_id
          left join taken on taken.account_id = waiting.account_id
          cross join lateral (
            select line.run_id, line.created_at, row_number() over (order by line.created_at, line.run_id) as ordinal
            from cortex.outbox line
            where line.account_id = waiting.account_id and line.admitted_at is null
            order by line.created_at, line.run_id
            limit greatest(0, least(free, plans.max_parallel_runs - coalesce(taken.places, 0)))
          ) next
        order by coalesce(taken.places, 0) + next.ordinal, next.created_at, next.run_id
        limit free
      ), locked as (
        select id from cortex.agent_runs
        where id in (select chosen.run_id from chosen) and status = 'queued'
        for update skip locked
      ), marked as (
        update cortex.outbox set admitted_at = clock_timestamp()
        where outbox.run_id in (select locked.id from locked) and admitted_at is null
        returning outbox.run_id
      )
      update cortex.agent_runs set admitted_at = clock_timestamp(), delivery = agent_runs.delivery + 1
      where id in (select marked.run_id from marked) and status = 'queued'
      returning id, agent_runs.delivery;
  end $$;

-- The happy path of a start: may a new run of this account be admitted with the statement that creates it? Yes, if there is room for it
-- after everybody who could start already, and within its plan, and no older run of its account waits. Starts of different accounts that
-- commit at the same moment may overshoot the fleet by as many; the surplus waits in BullMQ instead of here, nothing else. A plan's limit
-- is exact: starts of a limited account come one after the other (cortex.gate_facts), and while one of its runs waits only admit_runs
-- gives it places.
create function cortex.has_place_for(for_account_id uuid) returns boolean
  language plpgsql volatile security definer set search_path = ''
  as $$
  declare
    capacity int := cortex.fleet_capacity();
    parallel_limit int;
  begin
    if capacity = 0 or cortex.slots_taken() + cortex.eligible_waiting() >= capacity then
      return false;
    end if;
    select plans.max_parallel_runs into parallel_limit
      from cortex.accounts join cortex.plans on plans.id = accounts.plan_id where accounts.id = for_account_id;
    return parallel_limit is null or (
      not exists (select 1 from cortex.outbox where account_id = for_account_id and admitted_at is null)
      and parallel_limit > (
        select count(*) from cortex.agent_runs
        where account_id = for_account_id and (status = 'running' or (status = 'queued' and admitted_at is not null))
      )
    );
  end $$;

-- Why queued runs are not running, and how many are ahead of each. Many at once, because a list of runs then reads the line one time. No
-- row for a run that waits for nothing. Says nothing about whose the others are.
create function cortex.queue_states(waiting_run_ids uuid[]) returns table (run_id uuid, "position" int, reason text)
  language sql stable security definer set search_path = ''
  as $$
    with line as (
      select admission_order.run_id, admission_order.eligible,
        (count(*) filter (where admission_order.eligible) over (
          order by admission_order.turn, admission_order.created_at, admission_order.run_id
          rows between unbounded preceding and 1 preceding
        ))::int as ahead
      from cortex.admission_order
    )
    select outbox.run_id,
      case when outbox.admitted_at is not null then 0 else coalesce(line.ahead, 0) end,
      case
        when fleet.slots = 0 then 'no_workers'
        when outbox.admitted_at is not null then 'admitted'
        when not line.eligible then 'account_limit'
        else 'workers_busy'
      end
    from cortex.outbox
      cross join (select cortex.fleet_slots() as slots) fleet
      left join line on line.run_id = outbox.run_id
    where outbox.run_id = any (waiting_run_ids)
  $$;

-- One run is the list of one: the same words in one place.
create function cortex.queue_state(waiting_run_id uuid) returns table ("position" int, reason text)
  language sql stable security definer set search_path = ''
  as $$ select states."position", states.reason from cortex.queue_states(array[waiting_run_id]) states $$;

revoke execute on function
  cortex.fleet_slots(), cortex.fleet_capacity(), cortex.slots_taken(), cortex.eligible_waiting(), cortex.end_waits(), cortex.admit_runs(int),
  cortex.has_place_for(uuid), cortex.queue_states(uuid[]), cortex.queue_state(uuid)
  from public;
grant execute on function cortex.has_place_for(uuid), cortex.queue_states(uuid[]), cortex.queue_state(uuid) to cortex_api;
grant execute on function cortex.admit_runs(int) to cortex_api, cortex_worker;
