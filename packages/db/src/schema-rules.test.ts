import { aGrant, aRun, aThread, aUser, createTestDatabase, type TestDatabase } from "@cortex/testing";
import pg from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
  const { accountId } = await aUser(database.owner);
  await aGrant(database.owner, { accountId, usd: "1" });
});
afterAll(() => database.drop());

test("the roles are neither owners nor members of anything, and stand above no rule", async () => {
  const { rows } = await database.owner.query(
    `select rolname, rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolreplication,
       exists (select 1 from pg_auth_members where member = roles.oid) as is_member,
       exists (select 1 from pg_class where relowner = roles.oid) as owns_relations,
       exists (select 1 from pg_proc where proowner = roles.oid) as owns_functions,
       exists (select 1 from pg_namespace where nspowner = roles.oid) as owns_schemas
     from pg_roles roles where rolname like 'cortex\\_%' order by 1`,
  );
  const powerless = {
    rolsuper: false,
    rolbypassrls: false,
    rolcreaterole: false,
    rolcreatedb: false,
    rolreplication: false,
    is_member: false,
    owns_relations: false,
    owns_functions: false,
    owns_schemas: false,
  };
  expect(rows).toEqual([
    { rolname: "cortex_api", ...powerless },
    { rolname: "cortex_worker", ...powerless },
  ]);
  for (const [url, role] of [
    [database.apiUrl, "cortex_api"],
    [database.workerUrl, "cortex_worker"],
  ] as const) {
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    const who = await client.query("select session_user as login, current_user as acting");
    await client.end();
    expect(who.rows).toEqual([{ login: role, acting: role }]);
  }
});

test("nobody else has any right in the schema: not the data API's roles, not PUBLIC", async () => {
  const { rows } = await database.owner.query(
    `with strangers as (
       select oid from pg_roles where rolname in ('anon', 'authenticated', 'service_role', 'authenticator')
       union all select 0
     ), granted as (
       select 'schema' as kind, nspname::text as name, acl.grantee
         from pg_namespace, aclexplode(coalesce(nspacl, acldefault('n', nspowner))) acl where nspname = 'cortex'
       union all
       select 'relation', relname, acl.grantee
         from pg_class, aclexplode(coalesce(relacl, acldefault('r', relowner))) acl
         where relnamespace = 'cortex'::regnamespace and relkind in ('r', 'p', 'v', 'm', 'S', 'f')
       union all
       select 'column', attrelid::regclass || '.' || attname, acl.grantee
         from pg_attribute join pg_class on pg_class.oid = attrelid, aclexplode(attacl) acl
         where relnamespace = 'cortex'::regnamespace
       union all
       select 'function', pg_proc.oid::regprocedure::text, acl.grantee
         from pg_proc, aclexplode(coalesce(proacl, acldefault('f', proowner))) acl
         where pronamespace = 'cortex'::regnamespace
     )
     select kind, name, coalesce(grantee::regrole::text, 'PUBLIC') as grantee from granted where grantee in (select oid from strangers)`,
  );
  expect(rows).toEqual([]);
  const { rows: counted } = await database.owner.query<{ strangers: number }>(
    "select count(*)::int as strangers from pg_roles where rolname in ('anon', 'authenticated', 'service_role', 'authenticator')",
  );
  expect(counted).toEqual([{ strangers: 4 }]);
});

test("views are for functions that run as their owner: no role reads them", async () => {
  const { rows } = await database.owner.query(
    `select relname from pg_class, (values ('cortex_api'), ('cortex_worker'), ('anon'), ('authenticated')) roles (name)
     where relnamespace = 'cortex'::regnamespace and relkind in ('v', 'm') and has_table_privilege(roles.name, pg_class.oid, 'select')`,
  );
  expect(rows).toEqual([]);
});

test("a function that runs as its owner looks names up in no schema but those it spells out", async () => {
  const { rows } = await database.owner.query(
    `select oid::regprocedure::text as function from pg_proc
     where pronamespace = 'cortex'::regnamespace and prosecdef and not coalesce('search_path=""' = any (proconfig), false)`,
  );
  expect(rows).toEqual([]);
});

test("versions and ledger entries never change, not even for the owner", async () => {
  for (const [table, column] of [
    ["agent_versions", "instructions"],
    ["ledger_entries", "description"],
  ] as const) {
    await expect(database.owner.query(`update cortex.${table} set ${column} = 'changed'`)).rejects.toThrow(
      "never change",
    );
  }
});

test("a run that has ended stays as it ended, its fence never goes back, and it has ended once", async () => {
  const { runId } = await aRun(database.owner, { status: "running", attempt: 2 });
  const set = (change: string) => database.owner.query(`update cortex.agent_runs set ${change} where id = $1`, [runId]);
  for (const change of ["attempt = 1", "log_epoch = 0", "delivery = 0"])
    await expect(set(change)).rejects.toThrow("never go back");
  await set("status = 'completed', attempt = 3");
  for (const status of ["queued", "running", "waiting", "failed", "stopped"]) {
    await expect(set(`status = '${status}'`)).rejects.toThrow("stays so");
  }
  await set("status = 'completed', log_cursor = '1.9'");
  const { rows } = await database.owner.query("select terminal_writes from cortex.agent_runs where id = $1", [runId]);
  expect(rows).toEqual([{ terminal_writes: 1 }]);
});

test("whatever points at a row is found by an index when that row is deleted, and no index moves with a heartbeat", async () => {
  const { rows } = await database.owner.query<{ pointer: string }>(
    `select conrelid::regclass || ' (' || string_agg(attname, ', ' order by place) || ')' as pointer
     from pg_constraint, unnest(conkey) with ordinality as key (attnum, place) join pg_attribute using (attnum)
     where contype = 'f' and connamespace = 'cortex'::regnamespace and attrelid = conrelid and confrelid <> 'cortex.plans'::regclass
       and not exists (
         select 1 from pg_index where indrelid = conrelid and indpred is null
           and (indkey::int2[])[0:cardinality(conkey) - 1] = conkey
       )
     group by pg_constraint.oid, conrelid`,
  );
  expect(rows).toEqual([]);

  const { rows: moving } = await database.owner.query<{ name: string }>(
    `select indexrelid::regclass::text as name from pg_index
     where indrelid = 'cortex.agent_runs'::regclass and pg_get_indexdef(indexrelid) ~ '\\m(lease_until|worker_id|usage|cost_usd)\\M'`,
  );
  expect(moving).toEqual([]);
});

test("a thread has one run that has not ended, whatever the status of the first", async () => {
  for (const first of ["queued", "running", "waiting"] as const) {
    const thread = await aThread(database.owner);
    await aRun(database.owner, { thread, status: first });
    await expect(aRun(database.owner, { thread })).rejects.toThrow("agent_runs_one_active_per_thread");
  }
  const thread = await aThread(database.owner);
  for (const status of ["completed", "failed", "stopped", "queued"] as const)
    await aRun(database.owner, { thread, status });
});
