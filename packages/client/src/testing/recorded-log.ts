import type { ServerResponse } from "node:http";
import { type Cursor, formatCursor, noUsage, parseCursor, RunEvent } from "@cortex/contracts";

export const runId = "11111111-1111-4111-8111-111111111111";
export const threadId = "33333333-3333-4333-8333-333333333333";
const firstMessage = "22222222-2222-4222-8222-222222222222";
const usage = { ...noUsage, input_tokens: 10, output_tokens: 5 };

/** A payload for each event of a log; their places are added in order. All are checked to be events of the contract. */
export const eventsOf = (payloads: readonly object[], attempt = 1): RunEvent[] =>
  payloads.map((payload, seq) =>
    RunEvent.parse({
      seq,
      run_id: runId,
      at: new Date(Date.UTC(2026, 10, 20, 12, 0, 0, seq)).toISOString(),
      attempt,
      ...payload,
    }),
  );

export const delta = (text: string, id = firstMessage) => ({ type: "message.delta", message_id: id, text });

export const completed = (text: string, more: object = {}) => ({
  type: "message.completed",
  message: {
    id: firstMessage,
    thread_id: threadId,
    run_id: runId,
    seq: 1,
    role: "assistant",
    status: "complete",
    content: text === "" ? [] : [{ type: "text", text }],
    metadata: {},
    created_at: "2026-11-20T12:00:00.000Z",
    ...more,
  },
});

export const callStarted = (id: string) => ({
  type: "tool_call.started",
  tool_call_id: id,
  name: "calculator",
  arguments: { expression: "5 + 10" },
});

export const callCompleted = (id: string, more: object = {}) => ({
  type: "tool_call.completed",
  tool_call_id: id,
  name: "calculator",
  result: "15",
  is_error: false,
  effect_state: "none",
  duration_ms: 2,
  ...more,
});

export const stepStarted = (step: number) => ({ type: "step.started", step, model: "demo" });
export const stepCompleted = (step: number) => ({
  type: "step.completed",
  step,
  model: "demo",
  usage,
  cost_usd: "0.1",
  duration_ms: 3,
});
export const runCompleted = { type: "run.completed", usage, cost_usd: "0.3" };

/** A short run with what makes text hard to cut: several bytes per character, line ends inside of JSON. */
export const shortRun: readonly RunEvent[] = eventsOf([
  { type: "run.queued", position: 0 },
  { type: "run.started", model: "demo", agent_version_id: threadId },
  stepStarted(0),
  delta("Grüße, 世界 "),
  delta("👩‍🚀\r\n\n"),
  completed("Grüße, 世界 👩‍🚀\r\n\nid: 9.9"),
  stepCompleted(0),
  runCompleted,
]);

/** An entry as the API writes it to the stream. */
export const frame = (event: object, at: Cursor): string =>
  `id: ${formatCursor(at)}\ndata: ${JSON.stringify(event)}\n\n`;

export const done = "event: done\ndata: {}\n\n";

/** What the API answers to a cursor: the rest of the log of this epoch, to its end. */
export const restOf = (log: readonly RunEvent[], after: string | null, epoch = 1): string => {
  const cursor = after === null ? null : parseCursor(after);
  const from = cursor?.epoch === epoch ? cursor.seq + 1 : 0;
  const frames = log.slice(from).map((event) => frame(event, { epoch, seq: event.seq }));
  return `retry: 1000\n\n: hb\n\n${frames.join("")}${done}`;
};

export const openStreamAnswer = (response: ServerResponse): ServerResponse => {
  response.writeHead(200, {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-cache, no-transform",
  });
  response.flushHeaders();
  return response;
};

/** Followed events without their cursors: what the log says, to be compared with what it was told. */
export const withoutCursor = (followed: RunEvent & { cursor: string }): object =>
  Object.fromEntries(Object.entries(followed).filter(([name]) => name !== "cursor"));

/** Comments at this pace, as the API sends them while there is no news; then `after`. Ends with the connection. */
export const beat = (response: ServerResponse, input: { everyMs: number; count: number; after: () => void }): void => {
  let left = input.count;
  const timer = setInterval(() => {
    left -= 1;
    response.write(": hb\n\n");
    if (left > 0) return;
    clearInterval(timer);
    input.after();
  }, input.everyMs);
  response.on("close", () => clearInterval(timer));
};
