import { check } from "./check/check.ts";
import { collectRemains } from "./check/collect.ts";
import type { History, Violation } from "./check/history.ts";
import { haunt, type Nemesis, type World } from "./faults/nemesis.ts";
import type { Fleet, FleetOptions } from "./fleet/fleet.ts";
import type { FleetProcess } from "./fleet/fleet-process.ts";
import { followToEnd } from "./load/follower.ts";
import { type LoadOptions, putLoad } from "./load/load.ts";
import { atMost, pause } from "./load/pause.ts";

export interface Scenario {
  name: string;
  about: string;
  fleet: FleetOptions;
  load: Omit<LoadOptions, "seed">;
  nemeses: readonly Nemesis[];
  /** All runs must have ended by then: catches a hang. Milliseconds. */
  deadlineMs: number;
  stopWithinMs: number | null;
}

export interface Outcome {
  history: History;
  violations: Violation[];
  /** From the first start until the last run had ended. */
  wallMs: number;
}

const sumUp = (kinds: Iterable<string>): Record<string, number> => {
  const counts: Record<string, number> = {};
  for (const kind of kinds) counts[kind] = (counts[kind] ?? 0) + 1;
  return counts;
};

/** How often each kind of harm was done. */
export const injected = (history: History): Record<string, number> => sumUp(history.injections.map(({ kind }) => kind));

/** Starts a process until it stands. A store that is away may end it at its start; then again, as any supervisor would. */
const reviver = (over: AbortSignal) => {
  const underWay = new Set<Promise<void>>();
  const startAgain = async (process: FleetProcess): Promise<void> => {
    while (!over.aborted && process.pid() === null) {
      try {
        await process.start();
      } catch {
        await pause(200, over); // it said why in its log
      }
    }
  };
  return {
    revive: (process: FleetProcess): void => {
      const starting = startAgain(process);
      underWay.add(starting);
      void starting.finally(() => underWay.delete(starting));
    },
    settled: async (): Promise<void> => {
      await Promise.all(underWay);
    },
  };
};

const pollMs = 200;

/** Until no run is on its way, or the deadline. */
const untilAllEnded = async (fleet: Fleet, endAt: number): Promise<void> => {
  const sql =
    "select count(*)::int as left from cortex.agent_runs where status not in ('completed', 'failed', 'stopped')";
  while (performance.now() < endAt) {
    const [row] = await fleet.ask<{ left: number }>(sql);
    if (row?.left === 0) return;
    await pause(pollMs);
  }
};

/** Whatever was killed stands again within this time. */
const standMs = 60_000;

/** Without any more harm, a backlog of 200 runs is worked off within this time. */
const recoverMs = 90_000;

/** Followers hear the end of a run within this time of the end of all harm: three polls of a quiet log, and a busy machine. */
const hearMs = 30_000;

/**
 * Runs of a fleet under harm: starts them, lets the nemeses loose until the last run has ended, then lets everybody hear the end, reads every
 * log once more from its start, and judges what is left.
 */
export const runScenario = async (fleet: Fleet, scenario: Scenario, seed: number): Promise<Outcome> => {
  const begunAt = performance.now();
  const load = await putLoad(fleet, { ...scenario.load, seed }, begunAt);
  const harm = new AbortController();
  const over = new AbortController();
  const { revive, settled } = reviver(over.signal);
  const world: World = {
    fleet,
    client: load.client,
    stops: load.stops,
    now: () => performance.now() - begunAt,
    revive,
    signal: harm.signal,
  };
  const injections: History["injections"] = [];
  const note = (injection: History["injections"][number]): void => void injections.push(injection);
  const haunting = Promise.all(scenario.nemeses.map((nemesis) => haunt(nemesis, world, { seed, note })));
  // Awaited when the runs have ended; until then a failure of it is nobody's surprise.
  haunting.catch(() => undefined);
  let wallMs = 0;
  try {
    const endAt = performance.now() + scenario.deadlineMs;
    await atMost(scenario.deadlineMs, load.started);
    await untilAllEnded(fleet, endAt);
    await Promise.all(load.besides);
    wallMs = performance.now() - begunAt;
    harm.abort();
    await haunting;
    await atMost(standMs, settled());
    // Late is one thing and lost another: what the deadline has caught may still recover, without a hand.
    await untilAllEnded(fleet, performance.now() + recoverMs);
  } finally {
    harm.abort();
    over.abort();
  }

  const followers = Promise.all(load.followers);
  await atMost(hearMs, followers);
  load.giveUp();
  const records = await followers;
  const runIds = load.acks.map(({ runId }) => runId);
  const signal = AbortSignal.timeout(hearMs);
  records.push(
    ...(await Promise.all(
      runIds.map((runId) => followToEnd(load.client, { runId, who: "last", leavesAfter: () => null, signal })),
    )),
  );
  const history: History = {
    scenario: scenario.name,
    seed,
    scripts: load.scripts,
    acks: load.acks,
    unanswered: load.unanswered,
    stops: load.stops,
    decisions: [],
    injections: injections.toSorted((left, right) => left.at - right.at),
    stopWithinMs: scenario.stopWithinMs,
    ...(await collectRemains(fleet, runIds)),
    followers: records,
  };
  return { history, violations: check(history), wallMs };
};
