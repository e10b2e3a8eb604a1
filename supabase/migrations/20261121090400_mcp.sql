-- Servers of the Model Context Protocol that offer their tools to an account's agents, and which of them the account has accepted.

create table cortex.mcp_servers (
  id uuid primary key default gen_random_uuid(),
  account_id uuid not null references cortex.accounts (id) on delete cascade,
  -- Part of the names of its tools.
  name text not null check (name ~ '^[a-z][a-z0-9]{0,19}$'),
  url text not null check (length(url) <= 2000),
  -- Sealed for this row (account|mcp_servers|id|headers); null: there are none.
  headers_sealed text,
  header_names text[] not null default '{}',
  -- Another address or other headers: a connection that somebody still holds is to another server.
  revision uuid not null default gen_random_uuid(),
  enabled boolean not null default true,
  approval text not null default 'if_tainted' check (approval in ('never', 'always', 'if_tainted')),
  effect text not null default 'once' check (effect in ('pure', 'idempotent', 'once')),
  -- Lists of tools: what runs use, and what the server offered when it was last asked.
  pinned jsonb not null default '[]' check (jsonb_typeof(pinned) = 'array'),
  seen jsonb check (jsonb_typeof(seen) = 'array'),
  refused jsonb not null default '[]' check (jsonb_typeof(refused) = 'array'),
  problem text,
  checked_at timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  unique (account_id, name)
);

-- Runs under way see it at their next step, like any other setting of a tool.
create trigger mcp_servers_raise_tools_version after insert or update or delete on cortex.mcp_servers
  for each row execute function cortex.raise_tools_version();

alter table cortex.mcp_servers enable row level security;
grant select, insert, update, delete on cortex.mcp_servers to cortex_api;
grant select on cortex.mcp_servers to cortex_worker;

-- Whoever works in an account sees which tools there are; which servers they come from is for those who manage it.
create policy api_reads on cortex.mcp_servers for select to cortex_api using (account_id in (select cortex.readable_accounts()));
create policy api_inserts on cortex.mcp_servers for insert to cortex_api with check (account_id in (select cortex.managed_accounts()));
create policy api_updates on cortex.mcp_servers for update to cortex_api
  using (account_id in (select cortex.managed_accounts())) with check (account_id in (select cortex.managed_accounts()));
create policy api_deletes on cortex.mcp_servers for delete to cortex_api using (account_id in (select cortex.managed_accounts()));
create policy worker_reads on cortex.mcp_servers for select to cortex_worker using (account_id = cortex.current_account_id());
