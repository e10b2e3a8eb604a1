-- What the billing gate decides on, in one round trip. Null facts (no row): no such account for this caller.
--
-- `starting` serialises the starts of one account where their sum matters (credit held back, runs counted): the lock comes first, and
-- then a statement of its own with a fresh snapshot, so that each start sees what the one before it committed. The lock is on the
-- account's row, not on its balance: a worker that settles a step never waits for a start. `no key` because inserts that merely point at
-- the account must not wait either. Plans without any limit take no lock.
create function cortex.gate_facts(for_account uuid, starting boolean)
  returns table (
    plan_id text,
    unlimited boolean,
    reserve_usd numeric,
    max_active_runs int,
    models text[],
    balance_usd numeric,
    active_runs int
  )
  language plpgsql volatile set search_path = ''
  as $$
  begin
    if starting then
      perform 1 from cortex.accounts
        where id = for_account and exists (
          select 1 from cortex.plans
          where plans.id = accounts.plan_id and (not plans.unlimited or plans.max_active_runs is not null)
        )
        for no key update of accounts;
    end if;
    return query
      select plans.id, plans.unlimited, plans.reserve_usd, plans.max_active_runs, plans.models,
        coalesce((select balances.balance_usd from cortex.account_balances balances where balances.account_id = accounts.id), 0),
        (select count(*)::int from cortex.agent_runs
          where agent_runs.account_id = accounts.id and agent_runs.status in ('queued', 'running', 'waiting'))
      from cortex.accounts join cortex.plans on plans.id = accounts.plan_id
      where accounts.id = for_account;
  end $$;
revoke execute on function cortex.gate_facts(uuid, boolean) from public;
grant execute on function cortex.gate_facts(uuid, boolean) to cortex_api, cortex_worker;

-- The lock above replaces the one on the balance row, and with it the only reason for this grant.
drop policy api_locks on cortex.account_balances;
revoke update (updated_at) on cortex.account_balances from cortex_api;
