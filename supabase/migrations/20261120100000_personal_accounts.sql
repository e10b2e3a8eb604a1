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

create or replace function cortex.create_personal_account() returns trigger
  language plpgsql security definer set search_path = ''
  as $$
  begin
    perform cortex.make_personal_account(new.id);
    return new;
  end $$;

-- For the caller and nobody else, whatever it is that kept the trigger from running. Does nothing if the account is there, or if the
-- user is not (a token outlives its deleted user for up to an hour).
create function cortex.ensure_personal_account() returns void
  language sql volatile security definer set search_path = ''
  as $$ select cortex.make_personal_account(cortex.current_user_id()) $$;

revoke execute on function cortex.make_personal_account(uuid), cortex.ensure_personal_account() from public;
grant execute on function cortex.ensure_personal_account() to cortex_api;

select cortex.make_personal_account(id) from auth.users;
