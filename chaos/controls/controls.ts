import type { Mechanism } from "@cortex/failpoints";
import { Queue } from "bullmq";
import { Redis } from "ioredis";
import type { Invariant } from "../check/history.ts";
import { pause } from "../load/pause.ts";
import type { Script, Stage } from "./stage.ts";

/** One mechanism, and a play in which everything depends on it. */
export interface Control {
  mechanism: Mechanism;
  about: string;
  /** What must break without it. */
  breaks: Invariant;
  /** What may break with that, and why; nothing else may. */
  follows: readonly { invariant: Invariant; why: string }[];
  play(stage: Stage): Promise<void>;
}

const answer: Script = { commands: [], words: 5, delayMs: 10 };
const notFollowed = { invariant: "I6", why: "whoever follows a run that never ends hears no end" } as const;

const fence: Control = {
  mechanism: "fence",
  about: "a worker stands still before it stores an answer, and goes on when another has stored one and works on",
  breaks: "I4",
  follows: [
    { invariant: "I3", why: "the doubled answer is the write of a superseded attempt" },
    { invariant: "I5", why: "the log cannot tell two answers of one step in an order that Postgres has" },
    { invariant: "I6", why: "nor can whoever follows it" },
    { invariant: "I8", why: "the doubled answer claims its calls again" },
    { invariant: "I9", why: "and it is charged again" },
  ],
  play: async (stage) => {
    await stage.start(stage.first, "step.before_commit=stop");
    const runId = await stage.run({ commands: [""], words: 120, delayMs: 40 });
    await stage.cameThere(stage.first);
    await stage.start(stage.second);
    await stage.until("the step of the second attempt", async () => {
      const sql = "select 1 as one from cortex.run_steps where run_id = $1 and ended_at is not null";
      return (await stage.rowsOf(sql, runId)).length > 0;
    });
    stage.first.signal("SIGCONT");
    await stage.allEnded();
  },
};

const lease: Control = {
  mechanism: "lease",
  about: "the queue brings a run twice while a living worker has it",
  breaks: "I8",
  follows: [],
  play: async (stage) => {
    await stage.start(stage.first);
    const runId = await stage.run({ commands: ["sleep 4"], words: 5, delayMs: 10 });
    const claimed = "select worker_id from cortex.tool_calls join cortex.agent_runs on run_id = id where run_id = $1";
    await stage.until("the command", async () => (await stage.rowsOf(claimed, runId)).length > 0);
    await stage.start(stage.second);
    await bringAgain(stage, runId);
    await stage.allEnded();
    // Nobody died and nothing was cut: whatever is said to be uncertain is uncertain for no reason.
    const sql = "select call_id from cortex.tool_calls where run_id = $1 and state = 'unknown'";
    for (const { call_id } of await stage.rowsOf<{ call_id: string }>(sql, runId))
      stage.violation({ invariant: "I8", runId, what: `call ${call_id} of a living worker is unknown` });
  },
};

const bringAgain = async ({ fleet }: Stage, runId: string): Promise<void> => {
  const connection = new Redis(fleet.redis.url, { maxRetriesPerRequest: null });
  const queue = new Queue("run-execute", { connection, prefix: "cortex" });
  await queue.add("run", { runId, delivery: 1_000 }, { jobId: `run-${runId}-1000` });
  await queue.close();
  connection.disconnect();
};

const toolClaim: Control = {
  mechanism: "tool_claim",
  about: "a worker dies when its command has taken effect and before anybody knows",
  breaks: "I8",
  follows: [],
  play: async (stage) => {
    await stage.start(stage.first, "tool.after_effect=crash");
    await stage.run({ commands: [""], words: 5, delayMs: 10 });
    await stage.first.ended();
    await stage.start(stage.second);
    await stage.allEnded();
  },
};

const outbox: Control = {
  mechanism: "outbox",
  about: "a run is started while there is no worker, and then there is one",
  breaks: "I1",
  follows: [notFollowed],
  play: async (stage) => {
    // Whoever died lately still counts.
    await stage.until("a fleet without places", async () => {
      const [row] = await stage.fleet.ask<{ slots: number }>("select cortex.fleet_slots() as slots");
      return row?.slots === 0;
    });
    await stage.run(answer);
    await stage.start(stage.first);
    await stage.allEnded();
  },
};

const reconciler: Control = {
  mechanism: "reconciler",
  about: "an API dies between the commit of a start and its delivery",
  breaks: "I1",
  follows: [notFollowed],
  play: async (stage) => {
    await stage.start(stage.first);
    await stage.api.stop();
    await stage.start(stage.api, "start.after_commit=crash");
    await stage.run(answer, stage.api);
    await stage.allEnded();
  },
};

const serialisedReader: Control = {
  mechanism: "serialised_reader",
  about: "a subscription breaks, and the next hint overtakes the look at the log that makes good what was missed",
  breaks: "I6",
  follows: [],
  play: async (stage) => {
    await Promise.all(stage.fleet.apis.map((api) => api.stop()));
    // The first look comes with the follower, the second with the new subscription.
    await Promise.all(stage.fleet.apis.map((api) => stage.start(api, "follow.before_read=delay:500@2")));
    await stage.start(stage.first);
    await stage.run({ commands: [], words: 200, delayMs: 20 });
    const ended = stage.allEnded();
    let over = false;
    void ended.then(() => (over = true));
    const redis = new Redis(stage.fleet.redis.url);
    for (; !over; await pause(150)) await redis.call("CLIENT", "KILL", "TYPE", "pubsub");
    redis.disconnect();
    await ended;
  },
};

const logClosing: Control = {
  mechanism: "log_closing",
  about: "a run ends",
  breaks: "I5",
  follows: [{ invariant: "I6", why: "nobody is told that nothing more will come" }],
  play: async (stage) => {
    await stage.start(stage.first);
    await stage.run(answer);
    await stage.allEnded();
  },
};

/** Every mechanism that can be switched off. */
export const controls: Readonly<Record<Mechanism, Control>> = {
  fence,
  lease,
  tool_claim: toolClaim,
  outbox,
  reconciler,
  serialised_reader: serialisedReader,
  log_closing: logClosing,
};
