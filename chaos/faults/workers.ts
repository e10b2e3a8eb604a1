import type { Fleet, FleetWorker } from "../fleet/fleet.ts";
import { pause } from "../load/pause.ts";
import type { Nemesis, World } from "./nemesis.ts";
import type { Random } from "./random.ts";

/** Runs that a worker holds a living lease of; null if Postgres cannot say at the moment. */
const leasesOf = async (fleet: Fleet, worker: FleetWorker): Promise<number | null> => {
  const sql = `select count(*)::int as held from cortex.agent_runs
    where worker_id = $1 and status = 'running' and lease_until > clock_timestamp()`;
  try {
    return (await fleet.owner.query<{ held: number }>(sql, [worker.id()])).rows[0]?.held ?? null;
  } catch {
    return null; // it is being restarted: whether this kill would count is not known, so there is none
  }
};

/** Freezes a living worker, so that what Postgres says about it stays true, and says how many runs it holds. It thaws if that is none. */
const freezeHolder = async (
  { fleet }: World,
  random: Random,
): Promise<{ worker: FleetWorker; held: number } | null> => {
  const worker = random.pick(fleet.workers.filter((one) => one.pid() !== null));
  if (!worker?.signal("SIGSTOP")) return null;
  const held = await leasesOf(fleet, worker);
  if (held !== null && held > 0) return { worker, held };
  worker.signal("SIGCONT");
  return null;
};

/** SIGKILL of a worker that held a lease at that moment; it is started again at once. */
export const killWorkers = (everyMs: number, times = Infinity): Nemesis => ({
  kind: "worker killed",
  everyMs,
  times,
  act: async (world, random) => {
    const found = await freezeHolder(world, random);
    if (!found) return null;
    const id = found.worker.id();
    await found.worker.kill();
    world.revive(found.worker);
    return `${id} with ${found.held} runs`;
  },
});

/** SIGSTOP of a worker for longer than its leases last, then SIGCONT: it goes on and believes that no time has passed. */
export const freezeWorkers = (everyMs: number, forMs: number): Nemesis => ({
  kind: "worker frozen",
  everyMs,
  act: async (world, random) => {
    const found = await freezeHolder(world, random);
    if (!found) return null;
    await pause(forMs, world.signal);
    found.worker.signal("SIGCONT");
    return `${found.worker.id()} with ${found.held} runs for ${forMs} ms`;
  },
});

/** A worker's packets to Redis, or to Postgres, vanish for a while: no error, no end, nothing. */
export const blackholeWorkers = (store: "redis" | "postgres", everyMs: number, forMs: number): Nemesis => ({
  kind: `worker without ${store}`,
  everyMs,
  act: async (world, random) => {
    const worker = random.pick(world.fleet.workers.filter((one) => one.pid() !== null));
    const held = worker && (await leasesOf(world.fleet, worker));
    if (!worker || !held) return null;
    const id = worker.id();
    await worker[store].set("blackhole");
    await pause(forMs, world.signal);
    await worker[store].set("pass");
    return `${id} with ${held} runs for ${forMs} ms`;
  },
});

/** SIGTERM, one process after the other, as a deploy does: each is started again before the next one goes. */
export const rollProcesses = (everyMs: number): Nemesis => {
  let turn = 0;
  return {
    kind: "rolled",
    everyMs,
    act: async ({ fleet }) => {
      const all = [...fleet.workers, ...fleet.apis];
      const process = all[turn++ % all.length];
      const ended = await process?.stop();
      if (!process || !ended) return null;
      await process.start();
      return `${process.name}: exit ${ended.code} after ${Math.round(ended.ms)} ms`;
    },
  };
};
