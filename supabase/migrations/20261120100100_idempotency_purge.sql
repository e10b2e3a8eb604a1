-- Old idempotency keys of all accounts go, a batch at a time. Runs as its owner: the worker that calls it may not read them.
create function cortex.purge_idempotency_keys(batch int) returns int
  language sql volatile security definer set search_path = ''
  as $$
    with old as (
      select account_id, key from cortex.idempotency_keys
      where created_at < now() - interval '7 days'
      order by created_at limit batch
      for update skip locked
    ), gone as (
      delete from cortex.idempotency_keys using old
      where idempotency_keys.account_id = old.account_id and idempotency_keys.key = old.key
      returning 1
    )
    select count(*)::int from gone
  $$;
revoke execute on function cortex.purge_idempotency_keys(int) from public;
grant execute on function cortex.purge_idempotency_keys(int) to cortex_worker;
