import { noUsage, type RunEvent, type UnplacedEvent } from "@cortex/contracts";
import { expect } from "vitest";
import type { ApiUnderTest } from "./api-under-test.ts";

const place = (runId: string) => ({
  run_id: runId as UnplacedEvent["run_id"],
  at: new Date().toISOString(),
  attempt: 1,
});

export const delta = (runId: string, text: string): UnplacedEvent => ({
  type: "message.delta",
  ...place(runId),
  message_id: runId as Extract<RunEvent, { type: "message.delta" }>["message_id"],
  text,
});

export const completed = (runId: string): UnplacedEvent => ({
  type: "run.completed",
  ...place(runId),
  usage: noUsage,
  cost_usd: "0",
});

/** Begins a run's log as its worker does, under this epoch; what it returns writes on. */
export const aWriter = async (of: ApiUnderTest, runId: string, epoch = 1) => {
  const { eventLog } = of.services;
  const events: UnplacedEvent[] = [{ type: "run.queued", ...place(runId) }];
  const { length } = await eventLog.open({ runId, attempt: 1, epoch, events });
  let next = length;
  return async (...more: UnplacedEvent[]): Promise<void> => {
    const appended = await eventLog.append({ runId, attempt: 1, epoch, length: next, events: more });
    expect(appended.status).toBe("appended");
    next = appended.length;
  };
};
