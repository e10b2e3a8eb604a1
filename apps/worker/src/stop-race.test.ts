import { aGrant, eventually } from "@cortex/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createWorkplace, type Workplace } from "./testing/worker-fixture.ts";

const runs = 200;
/** At once, so that the workers are busy and some of the runs still wait when they are stopped. */
const lanes = 16;
const seed = Number(process.hrtime.bigint() % 1_000_000n);

let place: Workplace;
beforeAll(async () => {
  place = await createWorkplace();
  const { owner } = place.database;
  // Money is held back and has to be given back; nothing else limits.
  await owner.query("insert into cortex.plans (id, name, reserve_usd) values ('race', 'Race', 0.01)");
  await owner.query("update cortex.accounts set plan_id = 'race' where id = $1", [place.user.accountId]);
  await aGrant(owner, { accountId: place.user.accountId, usd: "100" });
  await Promise.all([1, 2].map(() => place.aWorker({ WORKER_CONCURRENCY: "8" })));
}, 60_000);
afterAll(() => place.close());

/** mulberry32: small, and the same on every machine. */
const randomFrom = (start: number) => {
  let state = start;
  return (below: number): number => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return (((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below;
  };
};

const prompts = [
  "[[say=yes]]",
  "[[tokens=8]] [[delay=4]]",
  '[[tool=calculator {"expression":"6*7"}]]',
  '[[tool=create_file {"path":"a.txt","content":"a"}]]',
];

/** Starts a run and stops it when so many of its events are out, or when it has ended before that. */
const race = async (input: { prompt: string; stopAfter: number }): Promise<string> => {
  // All runs are of one account, whose balance is one row: on a busy machine a request may wait for it too long, and is made again.
  const { runId } = await eventually(() => place.start(input.prompt), { timeoutMs: 20_000 });
  await eventually(
    async () => {
      if (input.stopAfter === 0) return true;
      const events = await place.events(runId);
      return events.length >= input.stopAfter || events.at(-1)?.type === "run.completed";
    },
    { timeoutMs: 20_000, intervalMs: 5 },
  );
  await eventually(() => place.stop(runId), { timeoutMs: 20_000 });
  await place.ended(runId, 20_000);
  return runId;
};

test(`${runs} stops race ${runs} completions: one end each, and everything agrees with it (seed ${seed})`, async () => {
  const random = randomFrom(seed);
  const left = Array.from({ length: runs }, () => ({
    prompt: prompts[Math.floor(random(prompts.length))] ?? "",
    stopAfter: Math.floor(random(12)),
  }));
  const ids: string[] = [];
  const lane = async (): Promise<void> => {
    for (let next = left.pop(); next; next = left.pop()) ids.push(await race(next));
  };
  await Promise.all(Array.from({ length: lanes }, lane));

  const { rows } = await place.database.owner.query<{
    id: string;
    status: string;
    terminal_writes: number;
    has_receipt: boolean;
    charged: boolean;
    kept_back: string;
    open_calls: number;
    unanswered: number;
  }>(
    `select id, status, terminal_writes, stop_receipt is not null as has_receipt,
       coalesce((select -sum(amount_usd) from cortex.ledger_entries where run_id = r.id and kind not in ('reserve', 'release')), 0) = cost_usd as charged,
       (select coalesce(sum(amount_usd), 0) from cortex.ledger_entries where run_id = r.id and kind in ('reserve', 'release'))::text as kept_back,
       (select count(*)::int from cortex.tool_calls where run_id = r.id and ended_at is null) as open_calls,
       (select count(*)::int from cortex.tool_calls c where run_id = r.id and not exists (
         select from cortex.messages m where m.run_id = r.id and m.role = 'tool' and m.tool_call_id = c.call_id)) as unanswered
     from cortex.agent_runs r where id = any($1)`,
    [ids],
  );
  expect(rows).toHaveLength(runs);
  for (const row of rows) {
    expect(row).toEqual({
      id: row.id,
      status: row.has_receipt ? "stopped" : "completed",
      terminal_writes: 1,
      has_receipt: row.has_receipt,
      charged: true,
      kept_back: "0.0000000000",
      open_calls: 0,
      unanswered: 0,
    });
  }
  // A race in which one side always wins is none.
  const stopped = rows.filter((row) => row.has_receipt).length;
  expect(stopped).toBeGreaterThan(runs / 20);
  expect(stopped).toBeLessThan(runs);

  // One terminal event each, the one of the row; logs that were ended from outside are closed by a sweep.
  for (const { id, status } of rows) {
    const ends = await eventually(
      async () => {
        const events = await place.events(id);
        const found = events.filter(({ type }) => ["run.completed", "run.failed", "run.stopped"].includes(type));
        return found.length > 0 && found.at(-1) === events.at(-1) ? found.map(({ type }) => type) : null;
      },
      { timeoutMs: 20_000 },
    );
    expect(ends).toEqual([`run.${status}`]);
  }
  const books = await place.database.owner.query(
    `select balance_usd = (select sum(amount_usd) from cortex.ledger_entries l where l.account_id = b.account_id) as exact
     from cortex.account_balances b where account_id = $1`,
    [place.user.accountId],
  );
  expect(books.rows).toEqual([{ exact: true }]);
}, 120_000);
