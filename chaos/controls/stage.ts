import { existsSync } from "node:fs";
import { join } from "node:path";
import { type Client, createClient } from "@cortex/client";
import type { Mechanism } from "@cortex/failpoints";
import { check } from "../check/check.ts";
import { collectRemains } from "../check/collect.ts";
import type { FollowerRecord, History, Violation } from "../check/history.ts";
import type { Fleet, FleetApi, FleetWorker, Person } from "../fleet/fleet.ts";
import { patientTiming } from "../fleet/patient-timing.ts";
import { followToEnd } from "../load/follower.ts";
import { atMost, pause } from "../load/pause.ts";
import { type RunScript, type ScriptedCall, tracesFolder } from "../load/run-script.ts";

/** One performance of a control: a few runs, with the mechanism or without it, and what is left of them. */
export interface Stage {
  fleet: Fleet;
  api: FleetApi;
  first: FleetWorker;
  second: FleetWorker;
  /**
   * Starts a process that is down: without the mechanism if that is what this performance is about.
   * @param failpoints as the variable FAILPOINTS has it
   */
  start(process: FleetApi | FleetWorker, failpoints?: string): Promise<void>;
  /** Resolves when the process that was started with a failpoint has come there. */
  cameThere(process: FleetApi | FleetWorker): Promise<void>;
  /** A run of this script, and somebody who follows it. @param through an API that will not answer the first try */
  run(script: Script, through?: FleetApi): Promise<string>;
  /** Waits until the condition holds. @throws Error after a time that only a hang takes */
  until(what: string, condition: () => Promise<boolean>): Promise<void>;
  rowsOf<Row extends Record<string, unknown>>(sql: string, runId: string): Promise<Row[]>;
  /** Waits until the runs have ended, or this performance takes much longer than it did with the mechanism. */
  allEnded(): Promise<void>;
  /** Something that this control alone can judge. */
  violation(violation: Violation): void;
}

/** Longer than anything takes that works: for a machine that does ten other things. */
const hangMs = 90_000;
/** What does not happen is waited for so long, or three times as long as it took when it happened. */
const leastPatienceMs = 8_000;
const lookMs = 25;

/** What a run does: these commands, then an answer. */
export interface Script {
  /** After its trace is left; empty: nothing more. */
  commands: readonly string[];
  words: number;
  /** Between the words. */
  delayMs: number;
}

/** Each command leaves a trace on disk, in a file that has the tag in its name. */
const scriptOf = (tag: string, { commands, words, delayMs }: Script): RunScript => {
  const calls = commands.map((command, index): ScriptedCall => {
    const trace = `${tag}.${index}`;
    const line = `mkdir -p ${tracesFolder} && echo x >> ${tracesFolder}/${trace}${command === "" ? "" : `; ${command}`}`;
    return { name: "execute_command", arguments: { command: line }, trace };
  });
  const tools = calls.map((call) => `[[tool=${call.name} ${JSON.stringify(call.arguments)}]]`);
  return {
    tag,
    prompt: `${tag} [[delay=${delayMs}]] [[tokens=${words}]] ${tools.join(" ")}`,
    calls,
    answer: Array.from({ length: words }, (_, index) => `w${index + 1}`).join(" "),
  };
};

/**
 * Prepares a performance. Workers are down, as if they had been sent away; APIs are up, and without the mechanism if this is about that.
 * @param input.without null: as shipped
 * @param input.tookMs how long it took with the mechanism; null: this is that performance
 */
export const setStage = async (
  fleet: Fleet,
  input: { person: Person; without: Mechanism | null; tookMs: number | null },
): Promise<{ stage: Stage; judge: () => Promise<Violation[]> }> => {
  const { person, without } = input;
  const off: Record<string, string> = without === null ? {} : { MECHANISMS_OFF: without };
  const [api] = fleet.apis;
  const [first, second] = fleet.workers;
  if (!api || !first || !second) throw new Error("a control needs an API and two workers");
  const client = fleet.client(person, patientTiming);
  const files = new Map<string, string>();
  const scripts: History["scripts"] = {};
  const acks: History["acks"] = [];
  const own: Violation[] = [];
  const gone = new AbortController();
  const following: Promise<FollowerRecord>[] = [];

  const until: Stage["until"] = async (what, condition) => {
    for (const end = performance.now() + hangMs; performance.now() < end; await pause(lookMs)) {
      if (await condition()) return;
    }
    throw new Error(`not within ${hangMs} ms: ${what}`);
  };
  const start: Stage["start"] = async (process, failpoints) => {
    const file = join(fleet.folder, `hits-${crypto.randomUUID()}`);
    files.set(process.name, file);
    const faults = failpoints === undefined ? {} : { FAILPOINTS: failpoints, FAILPOINTS_FILE: file };
    await process.start({ ...off, ...faults });
  };
  const patienceMs = Math.max(leastPatienceMs, 3 * (input.tookMs ?? hangMs / 3));

  await Promise.all([...fleet.workers, ...fleet.apis].map((process) => process.stop()));
  await Promise.all(fleet.apis.map((one) => start(one)));

  const stage: Stage = {
    fleet,
    api,
    first,
    second,
    start,
    cameThere: (process) =>
      until(`${process.name} at its failpoint`, async () => existsSync(files.get(process.name) ?? "")),
    run: async (asked, through) => {
      const script = scriptOf(`${without ?? "with"}-${crypto.randomUUID().slice(0, 8)}`, asked);
      const thread = await client.createThread({});
      const body = { prompt: script.prompt };
      const key = { idempotencyKey: `${script.tag}-${thread.id}` };
      if (through) await startOnce(person, through, (direct: Client) => direct.startRun(thread.id, body, key));
      const { agent_run_id: runId } = await client.startRun(thread.id, body, key);
      scripts[runId] = script;
      acks.push({ runId, threadId: thread.id, at: 0, ms: 0 });
      following.push(followToEnd(client, { runId, who: script.tag, leavesAfter: () => null, signal: gone.signal }));
      return runId;
    },
    until,
    rowsOf: (sql, runId) => fleet.ask(sql, [runId]),
    allEnded: async () => {
      const ids = acks.map(({ runId }) => runId);
      const sql = `select count(*)::int as left from cortex.agent_runs
        where id = any($1) and status not in ('completed', 'failed', 'stopped')`;
      for (const end = performance.now() + patienceMs; performance.now() < end; await pause(lookMs)) {
        const [row] = await fleet.ask<{ left: number }>(sql, [ids]);
        if (row?.left === 0) return;
      }
    },
    violation: (violation) => void own.push(violation),
  };
  const judge = async (): Promise<Violation[]> => {
    await atMost(patienceMs, Promise.all(following));
    gone.abort(new Error("heard no end"));
    const followers = await Promise.all(following);
    const ids = new Set(acks.map(({ runId }) => runId));
    const history: History = {
      scenario: `without ${without}`,
      seed: 0,
      scripts,
      acks,
      unanswered: [],
      stops: [],
      decisions: [],
      injections: [],
      stopWithinMs: null,
      ...(await collectRemains(fleet, [...ids])),
      followers,
    };
    // Those of the controls before it are no concern of this one.
    return [...own, ...check(history).filter(({ runId }) => runId === null || ids.has(runId))];
  };
  return { stage, judge };
};

/** One try and no other, by that API; that it fails is what it is for. */
const startOnce = async (person: Person, api: FleetApi, act: (client: Client) => Promise<unknown>): Promise<void> => {
  const direct = createClient({
    baseUrl: `http://127.0.0.1:${api.port}`,
    token: person.token,
    timing: { tries: 1 },
  });
  const answered = await act(direct).then(
    () => true,
    () => false,
  );
  if (answered) throw new Error("the start was answered, and was to be cut off");
};
