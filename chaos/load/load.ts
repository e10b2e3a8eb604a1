import type { Client } from "@cortex/client";
import type { FollowerRecord, StartAck, StopAck } from "../check/history.ts";
import { createRandom, type Random } from "../faults/random.ts";
import type { Fleet, Person } from "../fleet/fleet.ts";
import { patientTiming } from "../fleet/patient-timing.ts";
import { followToEnd } from "./follower.ts";
import { pause } from "./pause.ts";
import { type RunScript, runScript, type ScriptShape } from "./run-script.ts";

export interface LoadOptions {
  runs: number;
  shape: ScriptShape;
  /** Starts at the same time. */
  startsAtOnce: number;
  /** Share of the runs that a second follower joins late and leaves again and again. */
  secondFollowers: number;
  /** What somebody does beside each run from its acknowledgement on. */
  beside?: (run: {
    runId: string;
    client: Client;
    random: Random;
    stopped: (ack: Omit<StopAck, "at">) => void;
  }) => Promise<void>;
  seed: number;
}

/** Runs on their way, and everybody who follows them. */
export interface Load {
  person: Person;
  client: Client;
  scripts: Record<string, RunScript>;
  acks: StartAck[];
  unanswered: string[];
  /** All starts are answered or given up. */
  started: Promise<void>;
  followers: Promise<FollowerRecord>[];
  besides: Promise<void>[];
  stops: StopAck[];
  /** Ends the following of whoever still waits. */
  giveUp(): void;
}

/** A follower that hears no end is given up by the scenario, not by itself. */
const longestJoinMs = 6_000;

/** Threads of two projects: a few sandboxes for everybody, and several runs in each. */
const projects = 2;

/** Prepares the threads, then starts the runs and their followers. `since` is the beginning of the history's time. */
export const putLoad = async (fleet: Fleet, options: LoadOptions, since: number): Promise<Load> => {
  const person = await fleet.person();
  const client = fleet.client(person, patientTiming);
  const homes = await Promise.all(
    Array.from({ length: projects }, (_, index) => client.createProject({ name: `p${index}` })),
  );
  const threads: string[] = [];
  for (let number = 0; number < options.runs; number += 1) {
    const home = homes[number % projects];
    threads.push((await client.createThread(home ? { project_id: home.id } : {})).id);
  }
  const gone = new AbortController();
  const load: Load = {
    person,
    client,
    scripts: {},
    acks: [],
    unanswered: [],
    started: Promise.resolve(),
    followers: [],
    besides: [],
    stops: [],
    giveUp: () => gone.abort(new Error("heard no end")),
  };
  const random = createRandom(options.seed, "followers");
  const startOne = async (threadId: string, number: number): Promise<void> => {
    const script = runScript(`r${number}`, options.shape);
    const askedAt = performance.now();
    try {
      const started = await client.startRun(
        threadId,
        { prompt: script.prompt },
        { idempotencyKey: `${script.tag}-${threadId}` },
      );
      const runId = started.agent_run_id;
      load.acks.push({ runId, threadId, at: askedAt - since, ms: performance.now() - askedAt });
      load.scripts[runId] = script;
      const stays = { runId, who: `f${number}`, leavesAfter: () => null, signal: gone.signal };
      load.followers.push(followToEnd(client, stays));
      const stopped = (ack: Omit<StopAck, "at">): void =>
        void load.stops.push({ ...ack, at: performance.now() - since });
      if (options.beside) load.besides.push(options.beside({ runId, client, random, stopped }));
      if (random.next() >= options.secondFollowers) return;
      const joinsAfterMs = random.below(longestJoinMs);
      const leaves = { runId, who: `late${number}`, leavesAfter: () => 1 + random.below(40), signal: gone.signal };
      load.followers.push(pause(joinsAfterMs).then(() => followToEnd(client, leaves)));
    } catch (error) {
      load.unanswered.push(`${script.tag}: ${String(error)}`);
    }
  };
  const waiting = [...threads.entries()];
  const lane = async (): Promise<void> => {
    for (let next = waiting.shift(); next; next = waiting.shift()) await startOne(next[1], next[0]);
  };
  load.started = Promise.all(Array.from({ length: options.startsAtOnce }, lane)).then(() => undefined);
  return load;
};
