import {
  aGrant,
  aMember,
  aMessage,
  anAccount,
  aRun,
  aThread,
  aUser,
  aWorker,
  createTestDatabase,
  type TestDatabase,
} from "@cortex/testing";
import pg from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Actor, findings, readTableFacts, type Stage, type TableFacts } from "./testing/reach.ts";
import { tables } from "./testing/schema-access.ts";

/*
 * The second wall: row-level security and grants. What each role reaches is measured and compared with the table of access; then each policy
 * is taken away and opened in turn, to prove that the comparison would notice.
 */

let database: TestDatabase;
let owner: pg.Client;
let api: pg.Client;
let worker: pg.Client;
let actors: Actor[];
/** The account that none of the actors has anything to do with. */
let stranger: string;
/** Taken before anything is tried: within a mutation the owner's locks would keep everybody else out. */
const facts = new Map<string, TableFacts>();

const connect = async (url: string) => {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  return client;
};

/** A row in every table that belongs to accounts. */
const furnish = async (accountId: string) => {
  const thread = await aThread(database.owner, { accountId });
  const { runId, projectId } = await aRun(database.owner, { thread, status: "queued" });
  await aMessage(database.owner, { threadId: thread.threadId });
  await aGrant(database.owner, { accountId, usd: "1" });
  await database.owner.query(
    `with step as (
       insert into cortex.run_steps (run_id, step, account_id, attempt, model, usage, seen_seq, started_at) values ($2, 0, $1, 1, 'demo', '{}', 0, now())
     ), call as (
       insert into cortex.tool_calls (run_id, call_id, account_id, step, position, name, arguments, effect, state, attempt)
       values ($2, 'call', $1, 0, 0, 'calculator', '{}', 'pure', 'started', 1)
     ), wait as (
       insert into cortex.run_waits (run_id, attempt, account_id, step, reason, resume_at) values ($2, 1, $1, 0, 'provider_limit', now())
     ), approval as (
       insert into cortex.tool_approvals (run_id, call_id, account_id, attempt, digest) values ($2, 'call', $1, 1, repeat('0', 64))
     ), tool_setting as (
       insert into cortex.tool_settings (account_id, tool_name, enabled) values ($1, 'calculator', false)
     ), mcp_server as (
       insert into cortex.mcp_servers (account_id, name, url) values ($1, 'ours', 'https://mcp.example.com/')
     ), summary as (
       insert into cortex.context_summaries (id, account_id, thread_id, run_id, attempt, step, through_seq, text, tainted, tokens_before,
         tokens_after, model, usage, cost_usd)
       values (gen_random_uuid(), $1, $4, $2, 1, 0, 0, 'so far', false, 2, 1, 'demo', '{}', 0)
     ), sandbox as (
       insert into cortex.sandboxes (account_id, project_id, provider, state) values ($1, $3, 'local', 'started') returning id
     ), shown as (
       insert into cortex.exposed_ports (sandbox_id, port, account_id, worker_id, address)
       select sandbox.id, 3000, $1, workers.id, '127.0.0.1:9100' from sandbox, cortex.workers
     )
     insert into cortex.idempotency_keys (account_id, key, request_hash) values ($1, 'key', 'hash')`,
    [accountId, runId, projectId, thread.threadId],
  );
};

beforeAll(async () => {
  database = await createTestDatabase();
  owner = await connect(database.ownerUrl);
  api = await connect(database.apiUrl);
  worker = await connect(database.workerUrl);
  const alice = await aUser(database.owner);
  const mine = alice.accountId;
  const team = (await anAccount(database.owner)).accountId;
  await aMember(database.owner, { accountId: team, userId: alice.userId, role: "viewer" });
  stranger = (await aUser(database.owner)).accountId;
  await aWorker(database.owner);
  for (const accountId of [mine, team, stranger]) await furnish(accountId);
  for (const table of Object.keys(tables)) facts.set(table, await readTableFacts(owner, table));

  const asAlice = { role: "cortex_api", userId: alice.userId } as const;
  const asNobody = { role: "cortex_api", userId: null } as const;
  const asWorker = { role: "cortex_worker", userId: null } as const;
  actors = [
    { ...asAlice, name: "a user", accountId: null, reads: [mine, team], writes: [mine] },
    { ...asAlice, name: "a user for one account", accountId: mine, reads: [mine], writes: [mine] },
    { ...asAlice, name: "a viewer", accountId: team, reads: [team], writes: [] },
    { ...asAlice, name: "a user for a foreign account", accountId: stranger, reads: [], writes: [] },
    { ...asNobody, name: "an API that names no user", accountId: stranger, reads: [], writes: [] },
    { ...asWorker, name: "a worker", accountId: mine, reads: [mine], writes: [mine] },
    { ...asWorker, name: "a worker without an account", accountId: null, reads: [], writes: [] },
  ];
});
afterAll(async () => {
  await Promise.all([owner.end(), api.end(), worker.end()]);
  await database.drop();
});

const ownLogins: Stage = (actor) => ({ client: actor.role === "cortex_api" ? api : worker, prelude: "" });
const withinOwner: Stage = (actor) => ({ client: owner, prelude: `set local role ${actor.role};` });

const measure = (stage: Stage, table: string) => {
  const known = facts.get(table);
  if (!known) throw new Error(`nothing is known about ${table}`);
  return findings(stage, { table, facts: known, actors, stranger });
};

test("every table of the schema has row-level security and stands in the table of access", async () => {
  const { rows } = await database.owner.query<{ name: string; walled: boolean }>(
    `select relname as name, relrowsecurity as walled from pg_class
     where relnamespace = 'cortex'::regnamespace and relkind in ('r', 'p') order by relname`,
  );
  expect(rows.map(({ name }) => name)).toEqual(Object.keys(tables).toSorted());
  expect(rows.filter(({ walled }) => !walled)).toEqual([]);
});

test("each account has a row in each table of accounts, or the comparison would compare nothing", () => {
  const bare = Object.entries(tables).filter(
    ([table, { scope }]) => (facts.get(table)?.byAccount.size ?? 0) < (scope === "house" ? 1 : 3),
  );
  expect(bare).toEqual([]);
});

test("through their own logins, each role reaches exactly what it should of each table, for whomever it acts", async () => {
  await Promise.all([api.query("begin"), worker.query("begin")]);
  const found: string[] = [];
  for (const table of Object.keys(tables)) found.push(...(await measure(ownLogins, table)));
  await Promise.all([api.query("rollback"), worker.query("rollback")]);
  expect(found).toEqual([]);
});

test("the comparison notices every policy that is missing and every policy that is open", async () => {
  const { rows: policies } = await owner.query<{
    table: string;
    name: string;
    using: string | null;
    check: string | null;
  }>(
    `select tablename as table, policyname as name, qual as using, with_check as check from pg_policies where schemaname = 'cortex'`,
  );
  const mutations = policies.flatMap(({ table, name, using, check }) => [
    { table, change: `drop policy ${name} on cortex.${table}` },
    ...(using === null || using === "true"
      ? []
      : [{ table, change: `alter policy ${name} on cortex.${table} using (true)` }]),
    // An account cannot be given to another account: its id is no column that anybody may write.
    ...(check === null || check === "true" || table === "accounts"
      ? []
      : [{ table, change: `alter policy ${name} on cortex.${table} with check (true)` }]),
  ]);
  const unnoticed: string[] = [];
  for (const { table, change } of mutations) {
    await owner.query(`begin; ${change}`);
    const found = await measure(withinOwner, table);
    await owner.query("rollback");
    if (found.length === 0) unnoticed.push(change);
  }
  expect(unnoticed).toEqual([]);
  expect(mutations.length).toBeGreaterThan(policies.length);
}, 60_000);
