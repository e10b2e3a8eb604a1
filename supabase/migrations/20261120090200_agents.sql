-- Agents and their versions. A version never changes, and a run is pinned to one.

create table cortex.agents (
  id uuid primary key default gen_random_uuid(),
  account_id uuid not null references cortex.accounts (id) on delete cascade,
  name text not null check (length(name) between 1 and 200),
  description text not null default '',
  is_default boolean not null default false,
  active_version_id uuid,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
create unique index agents_one_default_per_account on cortex.agents (account_id) where is_default;
create index agents_by_account on cortex.agents (account_id, created_at);

create table cortex.agent_versions (
  id uuid primary key default gen_random_uuid(),
  account_id uuid not null references cortex.accounts (id) on delete cascade,
  agent_id uuid not null references cortex.agents (id) on delete cascade,
  version int not null check (version > 0),
  instructions text not null,
  -- Null: the model that the runtime is set to use.
  model text,
  model_parameters jsonb not null default '{}',
  -- Null: every tool that there is.
  tools text[],
  max_steps int not null default 50 check (max_steps between 1 and 1000),
  created_at timestamptz not null default now(),
  unique (agent_id, version),
  -- What runs point at.
  unique (agent_id, id)
);
create index agent_versions_by_account on cortex.agent_versions (account_id);
create index agents_by_active_version on cortex.agents (active_version_id);
alter table cortex.agents add foreign key (active_version_id) references cortex.agent_versions (id) on delete set null;

create function cortex.refuse_change() returns trigger
  language plpgsql set search_path = ''
  as $$ begin raise exception '% rows never change', tg_table_name using errcode = 'integrity_constraint_violation'; end $$;
revoke execute on function cortex.refuse_change() from public;

create trigger agent_versions_are_immutable before update on cortex.agent_versions
  for each row execute function cortex.refuse_change();

alter table cortex.agents enable row level security;
alter table cortex.agent_versions enable row level security;
grant select, insert, update, delete on cortex.agents to cortex_api;
grant select, insert on cortex.agent_versions to cortex_api;
grant select on cortex.agents, cortex.agent_versions to cortex_worker;

create policy api_reads on cortex.agents for select to cortex_api using (account_id in (select cortex.readable_accounts()));
create policy api_inserts on cortex.agents for insert to cortex_api with check (account_id in (select cortex.writable_accounts()));
create policy api_updates on cortex.agents for update to cortex_api
  using (account_id in (select cortex.writable_accounts())) with check (account_id in (select cortex.writable_accounts()));
create policy api_deletes on cortex.agents for delete to cortex_api using (account_id in (select cortex.writable_accounts()));
create policy worker_reads on cortex.agents for select to cortex_worker using (account_id = cortex.current_account_id());

create policy api_reads on cortex.agent_versions for select to cortex_api using (account_id in (select cortex.readable_accounts()));
create policy api_inserts on cortex.agent_versions for insert to cortex_api with check (account_id in (select cortex.writable_accounts()));
create policy worker_reads on cortex.agent_versions for select to cortex_worker using (account_id = cortex.current_account_id());

-- Whoever signs up gets a personal account; every account gets a default agent.
create function cortex.create_default_agent() returns trigger
  language plpgsql security definer set search_path = ''
  as $$
  declare
    new_agent_id uuid := gen_random_uuid();
    new_version_id uuid := gen_random_uuid();
  begin
    insert into cortex.agents (id, account_id, name, description, is_default)
      values (new_agent_id, new.id, 'Cortex', 'The agent that answers when no other is named.', true);
    insert into cortex.agent_versions (id, account_id, agent_id, version, instructions)
      values (new_version_id, new.id, new_agent_id, 1,
        'You are a careful, capable assistant. Use the tools when they help; say plainly what you did, what you found, and what you could not do.');
    update cortex.agents set active_version_id = new_version_id where id = new_agent_id;
    return new;
  end $$;
revoke execute on function cortex.create_default_agent() from public;
create trigger accounts_get_a_default_agent after insert on cortex.accounts
  for each row execute function cortex.create_default_agent();

-- Every user has a personal account, also those who signed up before Cortex was installed on this Supabase project.

create function cortex.make_personal_account(for_user uuid) returns void
  language plpgsql security definer set search_path = ''
  as $$
  declare
    new_account_id uuid;
  begin
    insert into cortex.accounts (kind, name, personal_user_id, plan_id)
      select 'personal', coalesce(nullif(left(split_part(coalesce(users.email, ''), '@', 1), 200), ''), 'Personal'), users.id, default_plan_id
      from auth.users, cortex.settings
      where users.id = for_user
      on conflict (personal_user_id) do nothing
      returning id into new_account_id;
    if new_account_id is not null then
      insert into cortex.account_members (account_id, user_id, role) values (new_account_id, for_user, 'owner');
    end if;
  end $$;

create function cortex.create_personal_account() returns trigger
  language plpgsql security definer set search_path = ''
  as $$
  begin
    perform cortex.make_personal_account(new.id);
    return new;
  end $$;

revoke execute on function cortex.create_personal_account() from public;
create trigger cortex_create_personal_account after insert on auth.users
  for each row execute function cortex.create_personal_account();

-- For the caller and nobody else, whatever it is that kept the trigger from running. Does nothing if the account is there, or if the
-- user is not (a token outlives its deleted user for up to an hour).
create function cortex.ensure_personal_account() returns void
  language sql volatile security definer set search_path = ''
  as $$ select cortex.make_personal_account(cortex.current_user_id()) $$;

revoke execute on function cortex.make_personal_account(uuid), cortex.ensure_personal_account() from public;
grant execute on function cortex.ensure_personal_account() to cortex_api;

select cortex.make_personal_account(id) from auth.users;
