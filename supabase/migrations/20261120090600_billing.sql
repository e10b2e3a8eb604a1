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
grant update (updated_at) on cortex.account_balances to cortex_api; -- only so that a start can lock the row
grant select, insert on cortex.ledger_entries to cortex_api, cortex_worker;

create policy api_reads on cortex.account_balances for select to cortex_api using (account_id in (select cortex.readable_accounts()));
create policy api_locks on cortex.account_balances for update to cortex_api using (account_id in (select cortex.writable_accounts()));
create policy worker_reads on cortex.account_balances for select to cortex_worker using (account_id = cortex.current_account_id());
create policy api_reads on cortex.ledger_entries for select to cortex_api using (account_id in (select cortex.readable_accounts()));
create policy api_inserts on cortex.ledger_entries for insert to cortex_api with check (account_id in (select cortex.writable_accounts()));
create policy worker_reads on cortex.ledger_entries for select to cortex_worker using (account_id = cortex.current_account_id());
create policy worker_inserts on cortex.ledger_entries for insert to cortex_worker with check (account_id = cortex.current_account_id());
