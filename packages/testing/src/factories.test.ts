import { afterAll, beforeAll, expect, test } from "vitest";
import { createTestDatabase, type TestDatabase } from "./database.ts";
import { aGrant, aMember, aMessage, anAccount, aRun, aThread, aUser, aWorker } from "./factories.ts";

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.drop());

test("messages of a thread are numbered from 0 without gaps", async () => {
  const { threadId } = await aThread(database.owner);
  const first = await aMessage(database.owner, { threadId, text: "one" });
  const second = await aMessage(database.owner, { threadId, role: "tool", toolCallId: "call-1" });
  expect([first.seq, second.seq]).toEqual([0, 1]);
});

test("runs come in every status, with what belongs to it", async () => {
  const { accountId } = await aUser(database.owner);
  for (const status of ["queued", "running", "waiting", "completed", "failed", "stopped"] as const)
    await aRun(database.owner, { accountId, status });
  await aRun(database.owner, { accountId, admitted: true });
  const { rows } = await database.owner.query(
    `select status, lease_until is not null as leased, completed_at is not null as ended, outbox.run_id is not null as outboxed,
       agent_runs.admitted_at is not null as admitted
     from cortex.agent_runs left join cortex.outbox on outbox.run_id = agent_runs.id where agent_runs.account_id = $1
     order by status, admitted`,
    [accountId],
  );
  expect(rows).toEqual([
    { status: "completed", leased: false, ended: true, outboxed: false, admitted: true },
    { status: "failed", leased: false, ended: true, outboxed: false, admitted: true },
    { status: "queued", leased: false, ended: false, outboxed: true, admitted: false },
    { status: "queued", leased: false, ended: false, outboxed: true, admitted: true },
    { status: "running", leased: true, ended: false, outboxed: false, admitted: true },
    { status: "stopped", leased: false, ended: true, outboxed: false, admitted: true },
    { status: "waiting", leased: false, ended: false, outboxed: false, admitted: true },
  ]);
});

test("teams, members, workers and credits", async () => {
  const team = await anAccount(database.owner, { planId: "free" });
  const { userId } = await aUser(database.owner);
  await aMember(database.owner, { accountId: team.accountId, userId });
  await aGrant(database.owner, { accountId: team.accountId, usd: "1.5" });
  await aWorker(database.owner, { concurrency: 3 });
  const { rows } = await database.owner.query(
    `select (select count(*)::int from cortex.account_members where account_id = $1) as members,
            (select balance_usd::text from cortex.account_balances where account_id = $1) as balance,
            cortex.fleet_slots() as slots`,
    [team.accountId],
  );
  expect(rows).toEqual([{ members: 2, balance: "1.5000000000", slots: 3 }]);
});
