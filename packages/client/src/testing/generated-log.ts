import { noUsage, type RunEvent } from "@cortex/contracts";
import fc from "fast-check";
import { delta, eventsOf, runId, stepCompleted, stepStarted, threadId } from "./recorded-log.ts";

/** What happens in a step, as numbers and words that can be shrunk. */
interface StepScript {
  thought: string;
  /** A stream that broke: its text is taken back, and asked for again. */
  takenBack: boolean;
  /** Where a worker is lost, if it is: while the model answers, or while tools run. */
  lost: "never" | "answering" | "acting";
  deltas: string[];
  calls: number;
  output: string[];
}

interface LogScript {
  steps: StepScript[];
  /** What is under way when the run ends. */
  cut: string[];
  end: "completed" | "failed" | "stopped";
}

// Several bytes to a character, line ends inside of JSON, and what looks like a frame.
const words = fc.constantFrom("", "a", "Grüße ", "世界", "👩‍🚀", "\r\n\n", "data: x\n\n", "id: 9.9");

const step: fc.Arbitrary<StepScript> = fc.record({
  thought: words,
  takenBack: fc.boolean(),
  lost: fc.constantFrom("never", "never", "answering", "acting"),
  deltas: fc.array(words, { maxLength: 4 }),
  calls: fc.nat(2),
  output: fc.array(words, { maxLength: 2 }),
});

const script: fc.Arbitrary<LogScript> = fc.record({
  steps: fc.array(step, { maxLength: 4 }),
  cut: fc.array(words, { maxLength: 2 }),
  end: fc.constantFrom("completed", "failed", "stopped"),
});

/** A whole log as the runtime writes it, of any history that it can have. */
export const generatedLog: fc.Arbitrary<RunEvent[]> = script.map(({ steps, cut, end }) => {
  let ids = 0;
  let attempt = 1;
  const newId = () => `00000000-0000-4000-8000-${String((ids += 1)).padStart(12, "0")}`;
  const takeOver = () => ({ type: "attempt.started", attempt: (attempt += 1) });
  const payloads: object[] = [
    { type: "run.queued" },
    { type: "run.started", model: "demo", agent_version_id: threadId },
    ...steps.flatMap((each, number) => stepOf(each, { number, newId, takeOver })),
  ];
  const left = newId();
  payloads.push(...cut.map((text) => delta(text, left)));
  if (end === "stopped" && cut.length > 0) payloads.push(message(left, cut.join(""), { status: "interrupted" }));
  payloads.push(endOf(end));
  return eventsOf(payloads);
});

const stepOf = (
  { thought, takenBack, lost, deltas, calls, output }: StepScript,
  { number, newId, takeOver }: { number: number; newId: () => string; takeOver: () => object },
): object[] => {
  const id = newId();
  const requests = Array.from({ length: calls }, (_, index) => ({
    id: `call ${number}.${index}`,
    name: "calculator",
    arguments: { expression: `${index}` },
  }));
  const previews = (messageId: string): object[] => [
    ...(thought === "" ? [] : [{ type: "reasoning.delta", message_id: messageId, text: thought }]),
    ...deltas.map((text) => delta(text, messageId)),
    ...requests.map((call) => ({
      type: "tool_call.delta",
      tool_call_id: call.id,
      name: call.name,
      arguments_delta: "{",
    })),
  ];
  const broken = newId();
  const act = (request: { id: string }, at: number): object[] => [
    ...output.map((chunk) => ({ type: "tool_call.output", tool_call_id: request.id, chunk })),
    ...(lost === "acting" && at === 0 ? [takeOver()] : []),
    {
      type: "tool_call.completed",
      tool_call_id: request.id,
      name: "calculator",
      result: "15",
      is_error: at === 1,
      effect_state: at === 1 ? "unknown" : "none",
      duration_ms: 2,
    },
  ];
  return [
    stepStarted(number),
    ...(takenBack ? [...previews(broken), { type: "message.discarded", message_id: broken, reason: "stream" }] : []),
    ...(lost === "answering" ? [...previews(newId()), takeOver()] : []),
    ...previews(id),
    message(id, deltas.join(""), calls > 0 ? { tool_calls: requests } : {}),
    ...requests.map((call) => ({
      type: "tool_call.started",
      tool_call_id: call.id,
      name: call.name,
      arguments: call.arguments,
    })),
    ...requests.flatMap(act),
    ...requests.map((call) => message(newId(), "15", { role: "tool", tool_call_id: call.id })),
    stepCompleted(number),
  ];
};

const message = (id: string, text: string, more: object): object => ({
  type: "message.completed",
  message: {
    id,
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

const endOf = (end: LogScript["end"]): object => {
  const totals = { usage: noUsage, cost_usd: "0.3" };
  const at = "2026-11-20T12:00:00.000Z";
  switch (end) {
    case "completed":
      return { type: "run.completed", ...totals };
    case "failed":
      return { type: "run.failed", ...totals, error: { code: "model_upstream", message: "away", retryable: true } };
    case "stopped":
      return {
        type: "run.stopped",
        ...totals,
        receipt: { requested_at: at, stopped_at: at, aborted: [], killed: [], charged_usd: "0.3" },
      };
  }
};
