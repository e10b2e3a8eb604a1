-- Ports of sandboxes that people may look at, and which worker has the program that listens there.

create table cortex.exposed_ports (
  sandbox_id uuid not null references cortex.sandboxes (id) on delete cascade,
  port int not null check (port between 1 and 65535),
  account_id uuid not null references cortex.accounts (id) on delete cascade,
  -- A row is as fresh as its worker's heartbeat and goes with the worker, so it needs no writes of its own.
  worker_id text not null references cortex.workers (id) on delete cascade,
  -- The worker's private listener. Whatever is not a host and a port is no address, for whoever connects to it.
  address text not null check (address ~* '^(\[[0-9a-f:]+\]|[a-z0-9]([a-z0-9.-]*[a-z0-9])?):[0-9]{1,5}$'),
  exposed_at timestamptz not null default now(),
  primary key (sandbox_id, port)
);
create index exposed_ports_by_account on cortex.exposed_ports (account_id);
create index exposed_ports_by_worker on cortex.exposed_ports (worker_id);

alter table cortex.exposed_ports enable row level security;
grant select on cortex.exposed_ports to cortex_api;
grant select, insert, update, delete on cortex.exposed_ports to cortex_worker;
create policy api_reads on cortex.exposed_ports for select to cortex_api using (account_id in (select cortex.readable_accounts()));
create policy worker_reads on cortex.exposed_ports for select to cortex_worker using (account_id = cortex.current_account_id());
create policy worker_inserts on cortex.exposed_ports for insert to cortex_worker with check (account_id = cortex.current_account_id());
create policy worker_updates on cortex.exposed_ports for update to cortex_worker
  using (account_id = cortex.current_account_id()) with check (account_id = cortex.current_account_id());
create policy worker_deletes on cortex.exposed_ports for delete to cortex_worker using (account_id = cortex.current_account_id());

-- Who shows a port, for a visitor who is nobody: the signed link was the right to ask. Null if its worker has not been heard of for longer than a
-- lease, or sandbox or project are gone.
create function cortex.find_exposed_port(asked_sandbox_id uuid, asked_port int) returns table (worker_id text, address text)
  language sql stable security definer set search_path = ''
  as $$
    select exposed_ports.worker_id, exposed_ports.address
    from cortex.exposed_ports
      join cortex.workers on workers.id = exposed_ports.worker_id
      join cortex.sandboxes on sandboxes.id = exposed_ports.sandbox_id
      join cortex.projects on projects.id = sandboxes.project_id
    where exposed_ports.sandbox_id = asked_sandbox_id and exposed_ports.port = asked_port
      and workers.heartbeat_at > now() - interval '15 seconds'
      and sandboxes.state <> 'deleted' and projects.deleted_at is null
  $$;
revoke execute on function cortex.find_exposed_port(uuid, int) from public;
grant execute on function cortex.find_exposed_port(uuid, int) to cortex_api;
