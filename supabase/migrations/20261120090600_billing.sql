-- The ledger: one row for each movement of credits, unique by its idempotency key. The balance is its sum.

create table cortex.account_balances (
  account_id uuid primary key references cortex.accounts (id) on delete cascade,
  balance_usd numeric(20, 10) not null default 0,
  updated_at timestamptz not null default now()
);

create table cortex.ledger_entries (
  id bigint generated always as identity primary key,
  account_id uuid not null references cortex.accounts (id) on delete cascade,
  -- No foreign key: a run may be deleted, what it cost stays.
  run_id uuid,
  kind text not null check (kind in ('grant', 'purchase', 'refund', 'reserve', 'release', 'usage', 'adjustment')),
  amount_usd numeric(20, 10) not null,
  idempotency_key text not null unique,
  description text not null default '',
  created_at timestamptz not null default now()
);
create index ledger_entries_by_account on cortex.ledger_entries (account_id, id desc);
create index ledger_entries_by_run on cortex.ledger_entries (run_id) where run_id is not null;

create trigger ledger_entries_are_immutable before update on cortex.ledger_entries
  for each row execute function cortex.refuse_change();

-- The running balance moves with the entry, in its transaction, under the balance row's lock.
create function cortex.apply_ledger_entry() returns trigger
  language plpgsql security definer set search_path = ''
  as $$
  begin
    insert into cortex.account_balances (account_id, balance_usd) values (new.account_id, new.amount_usd)
      on conflict (account_id) do update
      set balance_usd = cortex.account_balances.balance_usd + excluded.balance_usd, updated_at = clock_timestamp();
    return null;
  end $$;
revoke execute on function cortex.apply_ledger_entry() from public;
create trigger apply_ledger_entry after insert on cortex.ledger_entries
  for each row execute function cortex.apply_ledger_entry();

alter table cortex.account_balances enable row level security;
alter table cortex.ledger_entries enable row level security;
grant select on cortex.account_balances to cortex_api, cortex_worker;
grant select, insert on cortex.ledger_entries to cortex_api, cortex_worker;

create policy api_reads on cortex.account_balances for select to cortex_api using (account_id in (select cortex.readable_accounts()));
create policy worker_reads on cortex.account_balances for select to cortex_worker using (account_id = cortex.current_account_id());
create policy api_reads on cortex.ledger_entries for select to cortex_api using (account_id in (select cortex.readable_accounts()));
create policy api_inserts on cortex.ledger_entries for insert to cortex_api with check (account_id in (select cortex.writable_accounts()));
create policy worker_reads on cortex.ledger_entries for select to cortex_worker using (account_id = cortex.current_account_id());
create policy worker_inserts on cortex.ledger_entries for insert to cortex_worker with check (account_id = cortex.current_account_id());

-- What the billing gate decides on, in one round trip. Null facts (no row): no such account for this caller.
--
-- `starting` serialises the starts of one account where their sum matters (credit held back, runs counted, places in the fleet): the lock comes first, and
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
          where plans.id = accounts.plan_id and (
            not plans.unlimited or plans.max_active_runs is not null or plans.max_parallel_runs is not null
          )
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

-- One movement of credits and the balance after it, in one round trip: the balance moves in a trigger after the insert, which the insert
-- itself cannot see. A key that was used before moves nothing. With the rights of the caller.
create function cortex.move_credits(
  for_account uuid, for_run uuid, entry_kind text, amount numeric, entry_key text, entry_description text
)
  returns table (moved boolean, balance_usd numeric)
  language plpgsql volatile set search_path = ''
  as $$
  begin
    insert into cortex.ledger_entries (account_id, run_id, kind, amount_usd, idempotency_key, description)
      values (for_account, for_run, entry_kind, amount, entry_key, entry_description)
      on conflict (idempotency_key) do nothing;
    moved := found;
    balance_usd := coalesce(
      (select balances.balance_usd from cortex.account_balances balances where balances.account_id = for_account), 0);
    return next;
  end $$;
revoke execute on function cortex.move_credits(uuid, uuid, text, numeric, text, text) from public;
grant execute on function cortex.move_credits(uuid, uuid, text, numeric, text, text) to cortex_api, cortex_worker;
