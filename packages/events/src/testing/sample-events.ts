import { MessageId, noUsage, RunId, ThreadId, type UnplacedEvent } from "@cortex/contracts";
import type { EventLog, LogState } from "../event-log.ts";

/** Events for the tests of this room. */

export const testRun = (): RunId => RunId.parse(crypto.randomUUID());

const place = (run: string, attempt: number) => ({ run_id: RunId.parse(run), at: new Date().toISOString(), attempt });

export const queued = (run: string): UnplacedEvent => ({ type: "run.queued", ...place(run, 0) });

export const started = (run: string): UnplacedEvent => ({
  type: "attempt.started",
  ...place(run, 1),
});

export const stepStarted = (run: string, step = 0): UnplacedEvent => ({
  type: "step.started",
  ...place(run, 1),
  step,
  model: "demo",
});

/** The same words give the same message. */
const messageId = (name: string): MessageId =>
  MessageId.parse(`00000000-0000-4000-8000-${Buffer.from(name).toString("hex").padStart(12, "0").slice(-12)}`);

export const delta = (run: string, message: string, text: string): UnplacedEvent => ({
  type: "message.delta",
  ...place(run, 1),
  message_id: messageId(message),
  text,
});

export const completed = (run: string, attempt = 1): UnplacedEvent => ({
  type: "run.completed",
  ...place(run, attempt),
  usage: noUsage,
  cost_usd: "0",
});

export const messageCompleted = (run: string, message: string, text: string): UnplacedEvent => ({
  type: "message.completed",
  ...place(run, 1),
  message: {
    id: messageId(message),
    thread_id: ThreadId.parse("00000000-0000-4000-8000-000000000001"),
    run_id: RunId.parse(run),
    seq: 0,
    role: "assistant",
    status: "complete",
    content: [{ type: "text", text }],
    metadata: {},
    created_at: new Date().toISOString(),
  },
});

export const identity = (event: UnplacedEvent): string => {
  switch (event.type) {
    case "message.completed":
      return `${event.type} ${event.message.id}`;
    case "step.started":
      return `${event.type} ${event.step}`;
    case "attempt.started":
      return `${event.type} ${event.attempt}`;
    default:
      return event.type;
  }
};

/** What Postgres would hold of one run, and the recovery of its log from that. */
export interface StoredRun {
  runId: RunId;
  stored: UnplacedEvent[];
  epoch: number;
  recoveries: number;
  recover(): Promise<LogState>;
}

export const storedRun = async (
  log: EventLog,
  events: (run: string) => UnplacedEvent[] = (run) => [queued(run)],
): Promise<StoredRun> => {
  const runId = testRun();
  /** One recovery at a time; each loss raises the epoch, so that no epoch ever means two things. */
  let last: Promise<unknown> = Promise.resolve();
  const rebuild = async (): Promise<LogState> => {
    run.recoveries += 1;
    const present = await log.read({ runId, from: 0, limit: 0 });
    if (present) return present;
    run.epoch += 1;
    return log.open({ runId, attempt: 1, epoch: run.epoch, events: [...run.stored] });
  };
  const run: StoredRun = {
    runId,
    stored: events(runId),
    epoch: 1,
    recoveries: 0,
    recover: () => {
      const mine = last.then(rebuild);
      last = mine.catch(() => null);
      return mine;
    },
  };
  await log.open({ runId, attempt: 1, epoch: 1, events: run.stored });
  return run;
};
