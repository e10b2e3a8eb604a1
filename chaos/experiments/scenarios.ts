import { cutClients, crashPostgres, flushRedis, killApis, killRedis, stopRuns } from "../faults/others.ts";
import { blackholeWorkers, freezeWorkers, killWorkers, rollProcesses } from "../faults/workers.ts";
import { quickTimers } from "../fleet/timers.ts";
import { pause } from "../load/pause.ts";
import { figures } from "../report.ts";
import { injected, type Outcome, type Scenario } from "../run-scenario.ts";
import { atLeast, atMost, type Bar, exactly } from "./experiment.ts";
import { underLoad } from "./under-load.ts";

/** The load of the bar: 200 runs of 5 steps, each step 15 chunks 40 ms apart, on 4 workers of 5 places. */
const bigLoad = {
  fleet: { apis: 2, workers: 4, concurrency: 5, timers: quickTimers, workerLines: false },
  load: { runs: 200, shape: { steps: 5, words: 15, delayMs: 40 }, startsAtOnce: 16, secondFollowers: 0.25 },
  deadlineMs: 300_000,
  stopWithinMs: null,
};

const messagesOf = ({ load }: Pick<Scenario, "load">): number => load.runs * (2 * load.shape.steps - 1);

const allComplete =
  (scenario: Pick<Scenario, "load">) =>
  (outcome: Outcome): Bar[] => [
    exactly("completed", figures(outcome.history).completed, scenario.load.runs),
    exactly("messages", figures(outcome.history).messages, messagesOf(scenario)),
  ];

/** The half-minute form: a little of everything, on a fleet that two busy cores can carry. */
export const shortScenario: Scenario = {
  name: "short",
  about: "a little of everything",
  fleet: { apis: 2, workers: 2, concurrency: 4, timers: quickTimers },
  load: { runs: 24, shape: { steps: 4, words: 15, delayMs: 40 }, startsAtOnce: 6, secondFollowers: 0.5 },
  nemeses: [
    // Counted: on a busy machine everything takes longer, and harm without an end would never let it end.
    killWorkers(3_000, 4),
    killApis(4_000, 2),
    cutClients(700, 20),
    stopRuns(2_500, 3),
    killRedis(4_000, 300, 1),
    crashPostgres(5_500, 1),
    flushRedis(6_500, 1),
  ],
  deadlineMs: 120_000,
  stopWithinMs: null,
};

const kills: Scenario = {
  ...bigLoad,
  name: "kills",
  about: "SIGKILL of a worker that holds leases every 2 s",
  nemeses: [killWorkers(2_000)],
};

const storm: Scenario = {
  ...bigLoad,
  name: "storm",
  about: "the same, with Redis kill -9, Postgres immediate restarts, API kills and followers cut all along",
  nemeses: [killWorkers(2_000), killRedis(20_000, 2_000), crashPostgres(25_000), killApis(20_000), cutClients(1_500)],
};

const flush: Scenario = {
  ...bigLoad,
  name: "flush",
  about: "the same kills, with FLUSHALL in the middle",
  nemeses: [killWorkers(2_000), flushRedis(12_000, 1), cutClients(1_000)],
};

const frozen: Scenario = {
  ...bigLoad,
  fleet: { ...bigLoad.fleet, workerLines: true },
  name: "frozen",
  about: "workers that stand still beyond their lease, or cannot reach a store, and then go on",
  load: { ...bigLoad.load, runs: 100 },
  nemeses: [
    freezeWorkers(3_000, 8_000),
    blackholeWorkers("redis", 4_000, 9_000),
    blackholeWorkers("postgres", 5_000, 7_000),
  ],
};

const stops: Scenario = {
  ...bigLoad,
  name: "stops",
  about: "stops at any moment, with kills and cuts",
  load: { ...bigLoad.load, runs: 100 },
  nemeses: [stopRuns(250), killWorkers(3_000), cutClients(1_000)],
};

const rolling: Scenario = {
  ...bigLoad,
  name: "rolling",
  about: "SIGTERM of one process after the other, under load",
  load: { ...bigLoad.load, runs: 120 },
  nemeses: [rollProcesses(1_500)],
};

/** One step of 25 chunks 20 ms apart ends after half a second and some; the stop comes at any moment before, at and after that. */
const stopRace: Scenario = {
  ...bigLoad,
  name: "stop-race",
  about: "200 stops racing 200 completions",
  load: {
    runs: 200,
    shape: { steps: 1, words: 25, delayMs: 20 },
    startsAtOnce: 8,
    secondFollowers: 0,
    beside: async ({ runId, client, random, stopped }) => {
      await pause(random.below(1_600));
      const { status } = await client.stopRun(runId);
      stopped({ runId, status });
    },
  },
  nemeses: [],
  stopWithinMs: 1_000,
};

const barOfKills = ({ history, wallMs }: Outcome): Bar[] => [
  atLeast("kills", injected(history)["worker killed"] ?? 0, 20),
  atLeast("orphaned attempts", figures(history).orphaned, 60),
  atMost("wall", wallMs / 1_000, 90, " s"),
];

export const shortExperiment = underLoad(shortScenario, () => []);

export const loadExperiments = [
  underLoad(kills, (outcome) => [...allComplete(kills)(outcome), ...barOfKills(outcome)]),
  underLoad(storm, (outcome) => [...allComplete(storm)(outcome), ...barOfKills(outcome)]),
  underLoad(flush, (outcome) => [
    ...allComplete(flush)(outcome),
    atMost("resyncs of one run", figures(outcome.history).resyncs, 1),
  ]),
  underLoad(frozen, allComplete(frozen)),
  underLoad(stops, () => []),
  underLoad(stopRace, ({ history }) => [
    exactly("stops", history.stops.length, stopRace.load.runs),
    atLeast("stopped", figures(history).stopped, 20),
    atLeast("completed", figures(history).completed, 20),
  ]),
  underLoad(rolling, (outcome) => [
    ...allComplete(rolling)(outcome),
    exactly("calls of unknown outcome", figures(outcome.history).unknownCalls, 0),
  ]),
];
