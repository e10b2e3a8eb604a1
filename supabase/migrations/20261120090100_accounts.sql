-- Tenancy: accounts, their members, and the walls that every other table stands behind.

create table cortex.plans (
  id text primary key,
  name text not null,
  -- No gate: a run starts whatever the balance is. For the local stack and self-hosters who do not bill.
  unlimited boolean not null default false,
  -- Held back at start so that parallel runs cannot spend the same credit twice.
  reserve_usd numeric(20, 10) not null default 0 check (reserve_usd >= 0),
  -- Runs that may execute at once; more are accepted and wait. Null: no limit.
  max_parallel_runs int check (max_parallel_runs > 0),
  -- Runs that may exist without having ended; more are refused with 429. Null: no limit.
  max_active_runs int check (max_active_runs > 0),
  -- Null: every model.
  models text[]
);

create table cortex.accounts (
  id uuid primary key default gen_random_uuid(),
  kind text not null check (kind in ('personal', 'team')),
  name text not null check (length(name) between 1 and 200),
  -- The user whose personal account this is; null for teams.
  personal_user_id uuid unique references auth.users (id) on delete cascade,
  plan_id text not null references cortex.plans (id),
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  check ((kind = 'personal') = (personal_user_id is not null))
);

create table cortex.account_members (
  account_id uuid not null references cortex.accounts (id) on delete cascade,
  user_id uuid not null references auth.users (id) on delete cascade,
  role text not null check (role in ('owner', 'admin', 'member', 'viewer')),
  created_at timestamptz not null default now(),
  primary key (account_id, user_id)
);
create index account_members_by_user on cortex.account_members (user_id);

-- The accounts that the current user may see (and, if the caller named one, only that one). Runs as its owner, because the policy of
-- account_members itself asks it. In plpgsql, because that keeps its plan for the session; a function in SQL is planned at every call, and
-- this one is called by nearly every statement of the API.
create function cortex.readable_accounts() returns setof uuid
  language plpgsql stable security definer set search_path = ''
  as $$
  begin
    return query select account_id from cortex.account_members
      where user_id = cortex.current_user_id()
        and account_id = coalesce(cortex.current_account_id(), account_id);
  end $$;

-- The same without viewers.
create function cortex.writable_accounts() returns setof uuid
  language plpgsql stable security definer set search_path = ''
  as $$
  begin
    return query select account_id from cortex.account_members
      where user_id = cortex.current_user_id()
        and account_id = coalesce(cortex.current_account_id(), account_id)
        and role in ('owner', 'admin', 'member');
  end $$;

revoke execute on function cortex.readable_accounts(), cortex.writable_accounts() from public;
grant execute on function cortex.readable_accounts(), cortex.writable_accounts() to cortex_api;

alter table cortex.plans enable row level security;
alter table cortex.accounts enable row level security;
alter table cortex.account_members enable row level security;

grant select on cortex.plans to cortex_api, cortex_worker;
grant select on cortex.accounts to cortex_api, cortex_worker;
grant select on cortex.account_members to cortex_api;
grant update (name, updated_at) on cortex.accounts to cortex_api;

create policy plans_are_public on cortex.plans for select to cortex_api, cortex_worker using (true);
create policy api_reads on cortex.accounts for select to cortex_api using (id in (select cortex.readable_accounts()));
create policy api_updates on cortex.accounts for update to cortex_api
  using (id in (select cortex.writable_accounts())) with check (id in (select cortex.writable_accounts()));
create policy worker_reads on cortex.accounts for select to cortex_worker using (id = cortex.current_account_id());
create policy api_reads on cortex.account_members for select to cortex_api using (account_id in (select cortex.readable_accounts()));

-- What a retried request gets again. `response` is null while the first one is in flight.
create table cortex.idempotency_keys (
  account_id uuid not null references cortex.accounts (id) on delete cascade,
  key text not null check (length(key) between 1 and 255),
  request_hash bytea not null,
  status_code int,
  response jsonb,
  locked_at timestamptz not null default now(),
  created_at timestamptz not null default now(),
  primary key (account_id, key)
);
create index idempotency_keys_by_age on cortex.idempotency_keys (created_at);
alter table cortex.idempotency_keys enable row level security;
grant select, insert, update, delete on cortex.idempotency_keys to cortex_api;
create policy api_all on cortex.idempotency_keys for all to cortex_api
  using (account_id in (select cortex.writable_accounts())) with check (account_id in (select cortex.writable_accounts()));

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

-- The plans of the house; packages/billing/src/plans.ts is the same table in code, and a test keeps them equal.
insert into cortex.plans (id, name, unlimited, reserve_usd, max_parallel_runs, max_active_runs, models) values
  ('local', 'Local', true, 0, null, null, null),
  ('free', 'Free', false, 0.05, 1, 3, null);
insert into cortex.settings (default_plan_id) values ('free');
