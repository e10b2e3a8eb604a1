import { addUsage, noUsage, type Message, type Usage } from "@cortex/contracts";
import type { TracedCall, TracedRun, TracedStep, TracedSummary } from "./traced-run.ts";

/** One span of a trace, whoever it is sent to. */
export interface PlannedSpan {
  /** Names it within its run: the same span of the same run always has the same id, however often it is sent. */
  key: string;
  name: string;
  kind: "agent" | "generation" | "tool" | "wait";
  startedAt: Date;
  endedAt: Date;
  level: "DEFAULT" | "WARNING" | "ERROR";
  statusMessage: string | null;
  input: unknown;
  output: unknown;
  model: string | null;
  usage: Usage | null;
  costUsd: number | null;
  metadata: Record<string, string | number | boolean>;
  /** By the semantic conventions of OpenTelemetry for generative models. */
  genAi: Record<string, string | number>;
}

/** The root is the run; all others are its children, by the time at which they began. */
export interface PlannedTrace {
  root: PlannedSpan;
  children: PlannedSpan[];
}

const plain = {
  level: "DEFAULT",
  statusMessage: null,
  input: null,
  output: null,
  model: null,
  usage: null,
  costUsd: null,
} as const satisfies Partial<PlannedSpan>;

/** The text of a message; of other parts their kind, because pictures and files are no matter of a trace. */
const said = (message: Message): string =>
  message.content.map((part) => (part.type === "text" ? part.text : `[${part.type}]`)).join("\n");

const asTurn = (message: Message) => ({
  role: message.role,
  content: said(message),
  ...(message.tool_calls === undefined ? {} : { tool_calls: message.tool_calls }),
  ...(message.tool_call_id === undefined ? {} : { tool_call_id: message.tool_call_id }),
});

/** Never before its beginning: the clocks of two connections may differ by a little. */
const span = (planned: PlannedSpan): PlannedSpan =>
  planned.endedAt < planned.startedAt ? { ...planned, endedAt: planned.startedAt } : planned;

const generation = (step: TracedStep, answer: Message | undefined, input: readonly Message[]): PlannedSpan =>
  span({
    ...plain,
    key: `step:${step.step}`,
    name: `step ${step.step}`,
    kind: "generation",
    startedAt: step.startedAt,
    endedAt: answer ? new Date(answer.created_at) : step.startedAt,
    input: input.map(asTurn),
    output: answer ? asTurn(answer) : null,
    model: step.model,
    usage: step.usage,
    costUsd: Number(step.costUsd),
    metadata: {
      step: step.step,
      attempt: step.attempt,
      usage_estimated: step.usage.estimated,
      ...(step.finishReason === null ? {} : { finish_reason: step.finishReason }),
    },
    genAi: {
      "gen_ai.operation.name": "chat",
      "gen_ai.request.model": step.model,
      "gen_ai.usage.input_tokens": step.usage.input_tokens,
      "gen_ai.usage.output_tokens": step.usage.output_tokens,
    },
  });

/** When it was asked for is not stored; it is shown at the moment in which it was there. */
const summary = (made: TracedSummary): PlannedSpan => ({
  ...plain,
  key: `summary:${made.id}`,
  name: "summary",
  kind: "generation",
  startedAt: made.createdAt,
  endedAt: made.createdAt,
  output: made.text,
  model: made.model,
  usage: made.usage,
  costUsd: Number(made.costUsd),
  metadata: {
    step: made.step,
    attempt: made.attempt,
    tokens_before: made.tokensBefore,
    tokens_after: made.tokensAfter,
    usage_estimated: made.usage.estimated,
  },
  genAi: {
    "gen_ai.operation.name": "chat",
    "gen_ai.request.model": made.model,
    "gen_ai.usage.input_tokens": made.usage.input_tokens,
    "gen_ai.usage.output_tokens": made.usage.output_tokens,
  },
});

const toolCall = (call: TracedCall, run: TracedRun): PlannedSpan =>
  span({
    ...plain,
    key: `call:${call.id}`,
    name: call.name,
    kind: "tool",
    startedAt: call.startedAt,
    endedAt: call.endedAt ?? run.completedAt,
    level: call.isError || call.endedAt === null ? "ERROR" : "DEFAULT",
    statusMessage: call.endedAt === null ? "no result" : null,
    input: call.arguments,
    output: call.result,
    metadata: { step: call.step, attempt: call.attempt, tool_call_id: call.id, effect: call.effect, state: call.state },
    genAi: { "gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": call.name, "gen_ai.tool.call.id": call.id },
  });

const negative = (usage: Usage): Usage => ({
  input_tokens: -usage.input_tokens,
  cached_input_tokens: -usage.cached_input_tokens,
  cache_write_tokens: -usage.cache_write_tokens,
  output_tokens: -usage.output_tokens,
  reasoning_tokens: -usage.reasoning_tokens,
  estimated: false,
});

/** What answers have used that were given up or cut short: no step carries it, and without it the trace would cost less than the run did. */
const givenUp = (run: TracedRun): PlannedSpan[] => {
  const told = [...run.steps, ...run.summaries];
  const usage = addUsage(run.usage, negative(told.reduce((sum, each) => addUsage(sum, each.usage), noUsage)));
  const costUsd = Number(run.costUsd) - told.reduce((sum, each) => sum + Number(each.costUsd), 0);
  if (usage.input_tokens <= 0 && usage.output_tokens <= 0) return [];
  return [
    {
      ...plain,
      key: "given-up",
      name: "answers given up",
      kind: "generation",
      startedAt: run.completedAt,
      endedAt: run.completedAt,
      level: "WARNING",
      statusMessage: "answers that broke off, failed or were cut short",
      model: run.model,
      usage,
      costUsd: Math.max(0, costUsd),
      metadata: { usage_estimated: usage.estimated },
      genAi: { "gen_ai.operation.name": "chat", "gen_ai.request.model": run.model },
    },
  ];
};

const levelOf = { completed: "DEFAULT", failed: "ERROR", stopped: "WARNING" } as const;

/**
 * The trace of a run as its spans: the run, its model calls, its tool calls, its waits. Pure: the same facts give the same spans, so that
 * what was sent twice is one.
 *
 * A model call shows what was new to the model: the messages since its last answer. What it was told before stands in the calls before.
 */
export const planSpans = (run: TracedRun): PlannedTrace => {
  const conversation = [...run.requests, ...run.messages.map(({ message }) => message)].toSorted(
    (left, right) => left.seq - right.seq,
  );
  const answers = new Map(
    run.messages.flatMap(({ step, message }) =>
      message.role === "assistant" && step !== null ? [[step, message] as const] : [],
    ),
  );
  const newTo = (answer: Message | undefined): Message[] => {
    const end = answer?.seq ?? Infinity;
    const before = conversation.filter((message) => message.seq < end);
    const last = before.findLastIndex((message) => message.role === "assistant");
    return before.slice(last + 1);
  };
  const last = conversation.findLast((message) => message.role === "assistant");
  const waits = run.waits.map((wait) =>
    span({
      ...plain,
      key: `wait:${wait.attempt}`,
      name: `waiting: ${wait.reason}`,
      kind: "wait",
      startedAt: wait.beganAt,
      endedAt: wait.endedAt ?? run.completedAt,
      metadata: { attempt: wait.attempt, reason: wait.reason },
      genAi: {},
    }),
  );
  const children = [
    ...run.steps.map((step) => generation(step, answers.get(step.step), newTo(answers.get(step.step)))),
    ...run.toolCalls.map((call) => toolCall(call, run)),
    ...waits,
    ...run.summaries.map(summary),
    ...givenUp(run),
  ].toSorted((left, right) => left.startedAt.getTime() - right.startedAt.getTime());
  const root = span({
    ...plain,
    key: "run",
    name: "agent-run",
    kind: "agent",
    startedAt: run.createdAt,
    endedAt: run.completedAt,
    level: levelOf[run.status],
    statusMessage: run.error ? `${run.error.code}: ${run.error.message}` : null,
    input: run.requests.map(said).join("\n\n"),
    output: last ? said(last) : null,
    metadata: { status: run.status, attempts: run.attempts, ...(run.error ? { error_code: run.error.code } : {}) },
    genAi: {
      "gen_ai.operation.name": "invoke_agent",
      "gen_ai.agent.id": run.agent.id,
      "gen_ai.agent.name": run.agent.name,
      "gen_ai.conversation.id": run.threadId,
    },
  });
  return { root, children };
};
