-- What an agent's version says beyond its first fields, agents that may be deleted without a loss, and the settings of tools.

alter table cortex.agent_versions
  -- Asked in this order when the model before does not answer.
  add column fallback_models text[] not null default '{}',
  -- When a call of a tool waits for a person, by the tool's name. It can only be stricter than what the account says.
  add column approvals jsonb not null default '{}' check (jsonb_typeof(approvals) = 'object');

-- A deleted agent is gone for its users; its rows stay, because runs point at the version that they were pinned to.
alter table cortex.agents
  add column deleted_at timestamptz,
  add constraint agents_default_is_not_deleted check (not (is_default and deleted_at is not null)),
  -- What the settings of tools point at.
  add constraint agents_of_account unique (account_id, id);
drop policy api_deletes on cortex.agents;
revoke delete on cortex.agents from cortex_api;
-- Whatever deletes a version one day must not take the runs along. With an account all of it still goes: this is checked at the end.
alter table cortex.agent_runs
  drop constraint agent_runs_agent_id_agent_version_id_fkey,
  add constraint agent_runs_agent_id_agent_version_id_fkey
    foreign key (agent_id, agent_version_id) references cortex.agent_versions (agent_id, id);

-- The accounts that the current user manages.
create function cortex.managed_accounts() returns setof uuid
  language plpgsql stable security definer set search_path = ''
  as $$
  begin
    return query select account_id from cortex.account_members
      where user_id = cortex.current_user_id()
        and account_id = coalesce(cortex.current_account_id(), account_id)
        and role in ('owner', 'admin');
  end $$;
revoke execute on function cortex.managed_accounts() from public;
grant execute on function cortex.managed_accounts() to cortex_api;

-- What an account, or one of its agents, says about a tool. Null: nothing, what stands above it holds. Not a foreign key to any list of
-- tools: those are files, and servers that come and go.
create table cortex.tool_settings (
  account_id uuid not null references cortex.accounts (id) on delete cascade,
  -- Null: for the whole account.
  agent_id uuid,
  tool_name text not null check (length(tool_name) between 1 and 128),
  enabled boolean,
  description text check (length(description) between 1 and 4000),
  approval text check (approval in ('never', 'always', 'if_tainted')),
  updated_at timestamptz not null default now(),
  unique nulls not distinct (account_id, agent_id, tool_name),
  foreign key (account_id, agent_id) references cortex.agents (account_id, id) on delete cascade
);

-- Grows with every change of what the account's tools are. Each write of a run reads it, so that a change is seen at the next step.
alter table cortex.accounts add column tools_version int not null default 1;

create function cortex.raise_tools_version() returns trigger
  language plpgsql security definer set search_path = ''
  as $$
  begin
    update cortex.accounts set tools_version = tools_version + 1 where id = coalesce(new.account_id, old.account_id);
    return null;
  end $$;
revoke execute on function cortex.raise_tools_version() from public;
create trigger tool_settings_raise_tools_version after insert or update or delete on cortex.tool_settings
  for each row execute function cortex.raise_tools_version();

alter table cortex.tool_settings enable row level security;
grant select, insert, update, delete on cortex.tool_settings to cortex_api;
grant select on cortex.tool_settings to cortex_worker;

-- Members shape agents; what holds for the whole account is for those who manage it.
create policy api_reads on cortex.tool_settings for select to cortex_api using (account_id in (select cortex.readable_accounts()));
create policy api_inserts on cortex.tool_settings for insert to cortex_api
  with check (account_id in (select cortex.managed_accounts()) or (agent_id is not null and account_id in (select cortex.writable_accounts())));
create policy api_updates on cortex.tool_settings for update to cortex_api
  using (account_id in (select cortex.managed_accounts()) or (agent_id is not null and account_id in (select cortex.writable_accounts())))
  with check (account_id in (select cortex.managed_accounts()) or (agent_id is not null and account_id in (select cortex.writable_accounts())));
create policy api_deletes on cortex.tool_settings for delete to cortex_api
  using (account_id in (select cortex.managed_accounts()) or (agent_id is not null and account_id in (select cortex.writable_accounts())));
create policy worker_reads on cortex.tool_settings for select to cortex_worker using (account_id = cortex.current_account_id());
