-- Position and reason of many waiting runs at once: a list of runs reads the line one time instead of once for each of them.
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
create or replace function cortex.queue_state(waiting_run_id uuid) returns table ("position" int, reason text)
  language sql stable security definer set search_path = ''
  as $$ select states."position", states.reason from cortex.queue_states(array[waiting_run_id]) states $$;

revoke execute on function cortex.queue_states(uuid[]) from public;
grant execute on function cortex.queue_states(uuid[]) to cortex_api;
