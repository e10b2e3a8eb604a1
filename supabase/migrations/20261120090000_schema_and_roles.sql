-- The schema of Cortex, and who may enter it.
--
-- Everything lives in `cortex`, which the data API does not expose (supabase/config.toml) and where `anon` and
-- `authenticated` have no grant: a browser with a valid token reads and writes nothing around our API.
-- The API connects as `cortex_api`, workers as `cortex_worker`. Neither owns anything, is superuser or bypasses row-level security.
-- Their passwords are set by a set-up script from the environment; a migration holds no password, so the roles start without login.

create schema if not exists cortex;
revoke all on schema cortex from public, anon, authenticated;

do $$
declare
  role_name text;
begin
  foreach role_name in array array['cortex_api', 'cortex_worker'] loop
    if not exists (select from pg_catalog.pg_roles where rolname = role_name) then
      execute format('create role %I nologin noinherit', role_name);
    end if;
  end loop;
end
$$;

grant usage on schema cortex to cortex_api, cortex_worker;

-- How long they wait for what. lock < statement < the silence after which a client gives a connection up (8 s, packages/db) < a worker's
-- patience with its lease (10 s) < the lease (15 s). An answer of the API that takes longer than a few seconds is no answer. A transaction
-- whose client has vanished without a word holds its locks for the third of these. On the roles and not in each transaction, because single
-- statements need them as well, and a pooler in between must not lose them.
alter role cortex_api set lock_timeout = '2s';
alter role cortex_api set statement_timeout = '5s';
alter role cortex_api set idle_in_transaction_session_timeout = '5s';
alter role cortex_worker set lock_timeout = '4s';
alter role cortex_worker set statement_timeout = '6s';
alter role cortex_worker set idle_in_transaction_session_timeout = '5s';

-- Whom a transaction acts for. The API sets both (the account only if the caller named one), a worker sets the account of its run.
-- `set_config(…, true)` ends with the transaction, so nothing leaks through a connection pool. Plain expressions without settings of their
-- own, so that the planner puts them into the query instead of calling them for each row.
create function cortex.current_user_id() returns uuid
  language sql stable
  as $$ select nullif(pg_catalog.current_setting('app.user_id', true), '')::pg_catalog.uuid $$;

create function cortex.current_account_id() returns uuid
  language sql stable
  as $$ select nullif(pg_catalog.current_setting('app.account_id', true), '')::pg_catalog.uuid $$;

revoke execute on function cortex.current_user_id(), cortex.current_account_id() from public;
grant execute on function cortex.current_user_id(), cortex.current_account_id() to cortex_api, cortex_worker;

-- Installation-wide settings that SQL needs: one row.
create table cortex.settings (
  singleton boolean primary key default true check (singleton),
  default_plan_id text not null
);
alter table cortex.settings enable row level security;
-- Read only by functions that run as their owner: no grant, no policy.
