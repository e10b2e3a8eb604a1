import { type Client, isApiError } from "@cortex/client";
import type { RunEvent } from "@cortex/contracts";
import type { DecisionAck, FollowerRecord, History, StopAck } from "../check/history.ts";
import type { Random } from "../faults/random.ts";
import { followToEnd } from "../load/follower.ts";
import { pause } from "../load/pause.ts";
import { type RunScript, type ScriptedCall, tracesFolder } from "../load/run-script.ts";

/** People who start one run after the other, each when they have heard the end of the one before; so the load is what the fleet can bear. */
export interface Users {
  acks: History["acks"];
  unanswered: string[];
  stops: StopAck[];
  decisions: DecisionAck[];
  scripts: Record<string, RunScript>;
  /** Of the runs that they have heard the end of, or given up. */
  followers: FollowerRecord[];
  /** Nobody starts a run any more; resolves when everybody has heard the end of theirs. */
  leave(): Promise<void>;
  /** Ends their patience. */
  giveUp(): void;
}

/** The provider wants one run in so many to wait longer than a worker does: it is parked. */
const limitedOneIn = 4;

/** Of a script's tools the one that acts only when somebody has approved it. */
export const askedAbout = "make_folder";

/** One run in so many needs somebody. Each is claimed twice, in a fleet that is mostly one worker with one place. */
const asksOneIn = 5;

/** One step with each class of effect, and the answer. The command speaks, so that it has a middle. */
const shortScript = (tag: string, random: Random): RunScript => {
  const words = 4 + random.below(8);
  const trace = `${tag}.once`;
  const kinds: ScriptedCall[] = [
    { name: "calculator", arguments: { expression: `${words} + 1` }, trace: null },
    { name: "create_file", arguments: { path: `files/${tag}`, content: `of ${tag}` }, trace: null },
  ];
  const command = `echo begun; mkdir -p ${tracesFolder} && echo x >> ${tracesFolder}/${trace}; echo done`;
  const once: ScriptedCall = { name: "execute_command", arguments: { command }, trace };
  const asks: ScriptedCall = { name: askedAbout, arguments: { path: `folders/${tag}` }, trace: null };
  const calls = [random.below(asksOneIn) === 0 ? asks : random.pick(kinds), once].filter((call) => call !== null);
  const tools = calls.map(({ name, arguments: args }) => `[[tool=${name} ${JSON.stringify(args)}]]`);
  const limited = random.below(limitedOneIn) === 0 ? "[[fail=429*1 retry-after=3]] " : "";
  return {
    tag,
    prompt: `${tag} ${limited}[[delay=${5 + random.below(25)}]] [[tokens=${words}]] ${tools.join(" ")}`,
    calls,
    answer: Array.from({ length: words }, (_, index) => `w${index + 1}`).join(" "),
  };
};

/** One run in so many is stopped by whoever started it. */
const stopsOneIn = 5;
const stopWithinMs = 800;

export const letUsersIn = async (
  client: Client,
  input: { count: number; random: Random; now: () => number },
): Promise<Users> => {
  const { random, now } = input;
  const gone = new AbortController();
  let leaving = false;
  const project = await client.createProject({ name: "failpoints" });
  const users: Users = {
    acks: [],
    unanswered: [],
    stops: [],
    decisions: [],
    scripts: {},
    followers: [],
    leave: async () => {
      leaving = true;
      await everybody;
    },
    giveUp: () => gone.abort(new Error("heard no end")),
  };
  let count = 0;

  const stopSoon = async (runId: string): Promise<void> => {
    await pause(random.below(stopWithinMs));
    const { status } = await client.stopRun(runId);
    users.stops.push({ runId, status, at: now() });
  };

  /** Approves what a run asks. Whoever stops a run may find that its questions are void. */
  const decide = async (runId: string, event: RunEvent, stops: boolean): Promise<void> => {
    if (event.type !== "run.waiting") return;
    for (const { tool_call_id: callId, digest } of event.approvals ?? []) {
      try {
        const { decision } = await client.decideApproval(runId, callId, { decision: "approve", digest });
        users.decisions.push({ runId, callId, decision, at: now() });
      } catch (error) {
        if (!(stops && isApiError(error, "conflict"))) users.unanswered.push(`decision of ${runId}: ${String(error)}`);
      }
    }
  };

  const oneRun = async (): Promise<void> => {
    const script = shortScript(`u${count++}`, random);
    const at = now();
    try {
      const thread = await client.createThread({ project_id: project.id });
      const key = { idempotencyKey: `${script.tag}-${thread.id}` };
      const { agent_run_id: runId } = await client.startRun(thread.id, { prompt: script.prompt }, key);
      users.acks.push({ runId, threadId: thread.id, at, ms: now() - at });
      users.scripts[runId] = script;
      const stops = random.below(stopsOneIn) === 0;
      const deciding: Promise<void>[] = [];
      const following = followToEnd(client, {
        runId,
        who: script.tag,
        leavesAfter: () => null,
        signal: gone.signal,
        heard: (event) => void deciding.push(decide(runId, event, stops)),
      });
      if (stops) await stopSoon(runId);
      users.followers.push(await following);
      await Promise.all(deciding);
    } catch (error) {
      users.unanswered.push(`${script.tag}: ${String(error)}`);
    }
  };
  const user = async (): Promise<void> => {
    while (!leaving && !gone.signal.aborted) await oneRun();
  };
  const everybody = Promise.all(Array.from({ length: input.count }, user));
  return users;
};
