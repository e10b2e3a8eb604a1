import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { createTestFolder, eventually } from "@cortex/testing";
import { expect, test } from "vitest";
import { startFleet } from "./fleet/fleet.ts";

/*
 * Postgres crashes once and ends every connection once a second, while runs stream and act: all that is noticed is a pause. The timers are the
 * shipped ones, so an attempt that broke off would show as a higher attempt 15 s later.
 */

const runs = 20;
const leastTroubles = 5;

test("runs go on in the same attempt through a crash of Postgres and broken connections", async () => {
  const fleet = await startFleet({ folder: createTestFolder(), apis: 1, concurrency: 10 });
  try {
    const client = fleet.client(await fleet.person());
    const follow = async (number: number) => {
      const thread = await client.createThread({});
      const prompt =
        `[[delay=20]][[tokens=60]][[tool=execute_command {"command":"echo ${number} >> effects.txt"}]]` +
        `[[tool=calculator {"expression":"${number} + 1"}]]`;
      const { agent_run_id: runId } = await client.startRun(thread.id, { prompt });
      return { runId, events: Array.fromAsync(client.followRun(runId)) };
    };
    const followed = await Promise.all(Array.from({ length: runs }, (_, index) => follow(index)));
    const ended = async () => {
      const [row] = await fleet.ask<{ n: number }>(
        "select count(*)::int as n from cortex.agent_runs where status in ('completed', 'failed', 'stopped')",
      );
      return row?.n === runs;
    };
    await eventually(
      async () => (await fleet.ask("select 1 from cortex.messages where role = 'assistant'")).length > 0,
      { timeoutMs: 30_000 },
    );
    await fleet.postgres.crash();
    await fleet.postgres.start();
    let troubles = 0;
    await eventually(
      async () => {
        const cut = await fleet.ask(
          `select pg_terminate_backend(pid) from pg_stat_activity where usename in ('cortex_api', 'cortex_worker')`,
        );
        troubles += cut.length;
        return ended();
      },
      { timeoutMs: 90_000, intervalMs: 1_000 },
    );
    expect(troubles).toBeGreaterThan(leastTroubles);

    // The claim and the end: nobody else ever had to take a run up.
    const states = await fleet.ask(
      `select status, attempt, terminal_writes, error, count(*)::int as n from cortex.agent_runs group by 1, 2, 3, 4`,
    );
    expect(states).toEqual([{ status: "completed", attempt: 2, terminal_writes: 1, error: null, n: runs }]);
    for (const { runId, events } of followed) {
      const seen = await events;
      expect(seen.at(-1)).toMatchObject({ type: "run.completed" });
      expect(seen.filter(({ type }) => type === "resync" || type === "attempt.started")).toEqual([]);
      const said = seen.flatMap((event) => (event.type === "message.completed" ? [event.message.id] : []));
      const stored = await fleet.ask<{ id: string }>("select id from cortex.messages where run_id = $1 order by seq", [
        runId,
      ]);
      expect(said).toEqual(stored.map(({ id }) => id));
    }
    const effects = globSync("**/effects.txt", { cwd: fleet.sandboxes })
      .flatMap((path) => readFileSync(join(fleet.sandboxes, path), "utf8").trim().split("\n"))
      .map(Number);
    expect(effects.toSorted((a, b) => a - b)).toEqual(Array.from({ length: runs }, (_, index) => index));
    const [money] = await fleet.ask(
      `select (select sum(cost_usd) from cortex.agent_runs) = -sum(amount_usd) filter (where kind = 'usage') as booked,
         sum(amount_usd) = (select sum(balance_usd) from cortex.account_balances) as balanced,
         sum(amount_usd) filter (where kind in ('reserve', 'release')) = 0 as released
       from cortex.ledger_entries`,
    );
    expect(money).toEqual({ booked: true, balanced: true, released: true });
    const [gaps] = await fleet.ask(
      `select count(*)::int as n from cortex.threads
       where next_seq <> (select count(*) from cortex.messages where thread_id = threads.id)`,
    );
    expect(gaps).toEqual({ n: 0 });
    for (const one of [...fleet.apis, ...fleet.workers]) {
      expect(one.lives()).toBe(1);
      expect(one.pid()).not.toBeNull();
      expect(one.output()).not.toContain("the attempt broke off");
    }
  } finally {
    await fleet.close();
  }
}, 150_000);
