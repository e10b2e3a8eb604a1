import { eventually } from "@cortex/testing";
import { type Fleet, type FleetWorker, startFleet } from "../fleet/fleet.ts";
import { atMost, exactly, type Experiment } from "./experiment.ts";

/** Far above the bar: says that nobody came at all. */
const patience = { timeoutMs: 60_000, intervalMs: 20 };

interface Held {
  holder: FleetWorker;
  attempt: number;
  at: number;
}

/** Who holds the run, by the database's clock; as soon as its attempt is beyond `after`. */
const heldBeyond = (fleet: Fleet, runId: string, after: number): Promise<Held> =>
  eventually(async () => {
    const [row] = await fleet.ask<{ worker_id: string; attempt: number; at: number }>(
      `select worker_id, attempt, (extract(epoch from claimed_at) * 1000)::float8 as at from cortex.agent_runs
       where id = $1 and status = 'running' and attempt > $2`,
      [runId, after],
    );
    const holder = fleet.workers.find((worker) => worker.id() === row?.worker_id);
    return row && holder && { holder, attempt: row.attempt, at: row.at };
  }, patience);

const clock = async (fleet: Fleet): Promise<number> => {
  const [row] = await fleet.ask<{ now: number }>(
    "select (extract(epoch from clock_timestamp()) * 1000)::float8 as now",
  );
  return row?.now ?? 0;
};

/** With the shipped timers: how long nobody works on a run whose worker was killed, and on one whose worker was told to go. */
export const takeover: Experiment = {
  name: "takeover",
  about: "shipped timers: until another worker has the run of one that was killed, and of one that was told to go",
  run: async () => {
    const fleet = await startFleet({ apis: 1, workers: 3 });
    try {
      const client = fleet.client(await fleet.person());
      const waits = { SIGKILL: 0, SIGTERM: 0 };
      for (const signal of ["SIGTERM", "SIGKILL"] as const) {
        const thread = await client.createThread({});
        // Streams for a minute: it is under way whenever it is taken over.
        const started = await client.startRun(thread.id, { prompt: "[[delay=50]][[tokens=1200]]" });
        const runId = started.agent_run_id;
        const first = await heldBeyond(fleet, runId, 0);
        const lostAt = await clock(fleet);
        first.holder.signal(signal);
        const next = await heldBeyond(fleet, runId, first.attempt);
        waits[signal] = next.at - lostAt;
        await client.stopRun(runId);
        await first.holder.ended();
        await first.holder.start();
      }
      const unended = "select count(*)::int as n from cortex.agent_runs where status <> 'stopped'";
      await eventually(async () => (await fleet.ask<{ n: number }>(unended))[0]?.n === 0, patience);
      return {
        text: "takeover",
        bars: [
          atMost("taken up after SIGKILL", waits.SIGKILL / 1_000, 25, " s"),
          atMost("taken up after SIGTERM", waits.SIGTERM / 1_000, 2, " s"),
          exactly("runs", (await fleet.ask("select 1 from cortex.agent_runs")).length, 2),
        ],
        violations: [],
        history: null,
      };
    } finally {
      await fleet.close();
    }
  },
};
