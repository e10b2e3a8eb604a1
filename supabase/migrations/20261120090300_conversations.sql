-- Projects, threads and messages: the durable conversation.

create table cortex.projects (
  id uuid primary key default gen_random_uuid(),
  account_id uuid not null references cortex.accounts (id) on delete cascade,
  name text not null check (length(name) between 1 and 200),
  description text not null default '',
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  -- A deleted project is gone for its users; its rows stay until they are purged, because its ledger entries and runs point at them.
  deleted_at timestamptz
);
create index projects_by_account on cortex.projects (account_id, created_at desc, id desc);

create table cortex.threads (
  id uuid primary key default gen_random_uuid(),
  account_id uuid not null references cortex.accounts (id) on delete cascade,
  project_id uuid not null references cortex.projects (id) on delete cascade,
  title text not null default '',
  metadata jsonb not null default '{}',
  -- The seq of the next message. Taken under this row's lock, so that seq is dense.
  next_seq int not null default 0,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
create index threads_by_account on cortex.threads (account_id, created_at desc, id desc);
create index threads_by_project on cortex.threads (project_id, created_at desc, id desc);

create table cortex.messages (
  id uuid primary key default gen_random_uuid(),
  -- No foreign key: a message goes with its thread, and an index for nothing but that would be written with each message.
  account_id uuid not null,
  thread_id uuid not null references cortex.threads (id) on delete cascade,
  -- The run that wrote it, and in which step; null for what people posted.
  run_id uuid,
  step int,
  seq int not null check (seq >= 0),
  role text not null check (role in ('user', 'assistant', 'tool')),
  status text not null default 'complete' check (status in ('complete', 'interrupted')),
  content jsonb not null,
  tool_calls jsonb,
  tool_call_id text,
  metadata jsonb not null default '{}',
  created_at timestamptz not null default now(),
  unique (thread_id, seq),
  check ((role = 'tool') = (tool_call_id is not null))
);
create index messages_by_run on cortex.messages (run_id, seq) where run_id is not null;

alter table cortex.projects enable row level security;
alter table cortex.threads enable row level security;
alter table cortex.messages enable row level security;

grant select, insert, update on cortex.projects to cortex_api;
grant select, insert, update, delete on cortex.threads to cortex_api;
grant select, insert on cortex.messages to cortex_api;
grant select on cortex.projects to cortex_worker;
grant select, update on cortex.threads to cortex_worker;
grant select, insert on cortex.messages to cortex_worker;

create policy api_reads on cortex.projects for select to cortex_api using (account_id in (select cortex.readable_accounts()));
create policy api_inserts on cortex.projects for insert to cortex_api with check (account_id in (select cortex.writable_accounts()));
create policy api_updates on cortex.projects for update to cortex_api
  using (account_id in (select cortex.writable_accounts())) with check (account_id in (select cortex.writable_accounts()));
create policy worker_reads on cortex.projects for select to cortex_worker using (account_id = cortex.current_account_id());

create policy api_reads on cortex.threads for select to cortex_api using (account_id in (select cortex.readable_accounts()));
create policy api_inserts on cortex.threads for insert to cortex_api with check (account_id in (select cortex.writable_accounts()));
create policy api_updates on cortex.threads for update to cortex_api
  using (account_id in (select cortex.writable_accounts())) with check (account_id in (select cortex.writable_accounts()));
create policy api_deletes on cortex.threads for delete to cortex_api using (account_id in (select cortex.writable_accounts()));
create policy worker_reads on cortex.threads for select to cortex_worker using (account_id = cortex.current_account_id());
create policy worker_updates on cortex.threads for update to cortex_worker
  using (account_id = cortex.current_account_id()) with check (account_id = cortex.current_account_id());

create policy api_reads on cortex.messages for select to cortex_api using (account_id in (select cortex.readable_accounts()));
create policy api_inserts on cortex.messages for insert to cortex_api with check (account_id in (select cortex.writable_accounts()));
create policy worker_reads on cortex.messages for select to cortex_worker using (account_id = cortex.current_account_id());
create policy worker_inserts on cortex.messages for insert to cortex_worker with check (account_id = cortex.current_account_id());
