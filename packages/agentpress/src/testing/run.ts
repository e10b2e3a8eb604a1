import { setImmediate } from "node:timers/promises";
import type { AgentDeps, AgentInput, AgentOutcome } from "../agent.ts";
import type { AgentEvent } from "../events.ts";
import { userMessage } from "../messages.ts";
import { runAgent } from "../run-agent.ts";

/** An input with everything in it; the deadline is a minute away. */
export const anInput = (overrides: Partial<AgentInput> = {}): AgentInput => ({
  runId: "00000000-0000-4000-8000-000000000001",
  requestId: "req-1",
  instructions: "You are a test.",
  messages: [userMessage("hello")],
  model: "demo",
  limits: { maxSteps: 20, deadline: new Date(Date.now() + 60_000) },
  firstStep: 0,
  ...overrides,
});

export interface Played {
  events: AgentEvent[];
  outcome: AgentOutcome;
}

/** Lets everything happen that is ready to happen, and waits for nothing else. */
export const oneTurn = (): Promise<void> => setImmediate();

/** Runs an agent to its end. `onEvent` is awaited before the next event is asked for, as a recorder would. */
export const play = async (
  deps: AgentDeps,
  input: AgentInput = anInput(),
  options: { signal?: AbortSignal; onEvent?: (event: AgentEvent) => unknown } = {},
): Promise<Played> => {
  const run = runAgent({ answerRetriesMs: [1, 1], ...deps }, input, options.signal ?? new AbortController().signal);
  const events: AgentEvent[] = [];
  for (;;) {
    const next = await run.next();
    if (next.done) return { events, outcome: next.value };
    events.push(next.value);
    await options.onEvent?.(next.value);
  }
};

/** The event types in order, equal neighbours once. */
export const shape = (events: readonly AgentEvent[]): string[] =>
  events.map((event) => event.type).filter((type, index, all) => type !== all[index - 1]);

export const ofType = <Type extends AgentEvent["type"]>(events: readonly AgentEvent[], type: Type) =>
  events.filter((event): event is Extract<AgentEvent, { type: Type }> => event.type === type);
