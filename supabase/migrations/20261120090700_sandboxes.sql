-- Sandboxes: a computer for the agent, one living one per project, created on first need.

create table cortex.sandboxes (
  id uuid primary key default gen_random_uuid(),
  account_id uuid not null references cortex.accounts (id) on delete cascade,
  project_id uuid not null references cortex.projects (id) on delete cascade,
  provider text not null,
  -- The provider's own id, once it has given one.
  external_id text,
  state text not null check (state in ('creating', 'started', 'stopped', 'archived', 'error', 'deleted')),
  detail text,
  last_active_at timestamptz not null default now(),
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
create unique index sandboxes_one_per_project on cortex.sandboxes (project_id) where state <> 'deleted';
create index sandboxes_by_project on cortex.sandboxes (project_id);
create index sandboxes_by_account on cortex.sandboxes (account_id);

alter table cortex.sandboxes enable row level security;
grant select, insert, update on cortex.sandboxes to cortex_api, cortex_worker;
create policy api_reads on cortex.sandboxes for select to cortex_api using (account_id in (select cortex.readable_accounts()));
create policy api_inserts on cortex.sandboxes for insert to cortex_api with check (account_id in (select cortex.writable_accounts()));
create policy api_updates on cortex.sandboxes for update to cortex_api
  using (account_id in (select cortex.writable_accounts())) with check (account_id in (select cortex.writable_accounts()));
create policy worker_reads on cortex.sandboxes for select to cortex_worker using (account_id = cortex.current_account_id());
create policy worker_inserts on cortex.sandboxes for insert to cortex_worker with check (account_id = cortex.current_account_id());
create policy worker_updates on cortex.sandboxes for update to cortex_worker
  using (account_id = cortex.current_account_id()) with check (account_id = cortex.current_account_id());
