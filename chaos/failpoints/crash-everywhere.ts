import type { Failpoint } from "@cortex/failpoints";
import { check } from "../check/check.ts";
import { collectRemains } from "../check/collect.ts";
import type { History, Violation } from "../check/history.ts";
import { createRandom } from "../faults/random.ts";
import type { Fleet, FleetApi, FleetWorker } from "../fleet/fleet.ts";
import { patientTiming } from "../fleet/patient-timing.ts";
import type { Timers } from "../fleet/timers.ts";
import { followToEnd } from "../load/follower.ts";
import { atMost } from "../load/pause.ts";
import { places } from "./places.ts";
import { strike } from "./strike.ts";
import { askedAbout, letUsersIn } from "./users.ts";

/** Short, so that an orphan is back within a few seconds; long enough that a busy machine does not lose leases by being slow. */
const strikingTimers: Timers = { leaseMs: 3_000, heartbeatMs: 250, sweepMs: 500, lockMs: 3_000, stalledMs: 500 };

/** Two workers die, one stays; one API dies, one stays. */
export const strikingFleet = { apis: 2, workers: 3, concurrency: 1, timers: strikingTimers };

/** More than the fleet has places, so that some wait for one. */
const usersAtOnce = 7;
const restMs = 90_000;

export interface Struck {
  name: Failpoint;
  atHit: number;
  /** The process died there. */
  hit: boolean;
  ms: number;
}

export interface EverywhereOutcome {
  history: History;
  violations: Violation[];
  strikes: Struck[];
  wallMs: number;
}

/**
 * Lets a process die at each of these failpoints while people use the fleet, each time with others that go on, and judges what is left when all is
 * over. The seed chooses prompts, stops, and at which hit each one dies; 0: at the first.
 */
export const crashEverywhere = async (
  fleet: Fleet,
  input: { seed: number; only?: readonly Failpoint[] },
): Promise<EverywhereOutcome> => {
  const begunAt = performance.now();
  const now = (): number => performance.now() - begunAt;
  const random = createRandom(input.seed, "failpoints");
  const person = await fleet.person();
  await fleet.ask("insert into cortex.tool_settings (account_id, tool_name, approval) values ($1, $2, 'always')", [
    person.accountId,
    askedAbout,
  ]);
  const client = fleet.client(person, patientTiming);
  const all = (Object.keys(places) as Failpoint[]).filter((name) => input.only?.includes(name) ?? true);
  const queue = all.map((name) => ({
    name,
    atHit: input.seed === 0 ? 1 : 1 + random.below(places[name].upTo),
  }));
  const [bystander, ...targets] = fleet.workers;
  const [api] = fleet.apis;
  if (!bystander || !api) throw new Error("a fleet to be struck has two APIs and two workers at least");
  await Promise.all([api, ...targets].map((one) => one.kill()));
  const users = await letUsersIn(client, { count: usersAtOnce, random: createRandom(input.seed, "users"), now });

  const strikes: Struck[] = [];
  const lane = async (target: FleetApi | FleetWorker, kind: "api" | "worker"): Promise<void> => {
    for (;;) {
      const at = queue.findIndex(({ name }) => places[name].process === kind);
      const [next] = at === -1 ? [] : queue.splice(at, 1);
      if (!next) break;
      const since = now();
      const hit = await strike(fleet, target, bystander, next);
      strikes.push({ ...next, hit, ms: Math.round(now() - since) });
    }
    await target.start();
  };
  await Promise.all([lane(api, "api"), ...targets.map((target) => lane(target, "worker"))]);

  await atMost(restMs, users.leave());
  users.giveUp();
  await users.leave();
  const wallMs = now();
  const runIds = users.acks.map(({ runId }) => runId);
  const signal = AbortSignal.timeout(restMs);
  const last = await Promise.all(
    runIds.map((runId) => followToEnd(client, { runId, who: "last", leavesAfter: () => null, signal })),
  );
  const history: History = {
    scenario: "failpoints",
    seed: input.seed,
    scripts: users.scripts,
    acks: users.acks,
    unanswered: users.unanswered,
    stops: users.stops,
    decisions: users.decisions,
    injections: strikes.map(({ name, atHit, ms }) => ({ at: ms, kind: name, detail: `at hit ${atHit}` })),
    stopWithinMs: null,
    ...(await collectRemains(fleet, runIds)),
    followers: [...users.followers, ...last],
  };
  return { history, violations: check(history), strikes, wallMs };
};
