import { once } from "node:events";
import type { Usage } from "@cortex/contracts";
import { noUsage } from "@cortex/contracts";
import type { Model, ModelEvent, ModelRequest } from "../model.ts";

/** What the model does with one request: the events it yields, or a function that makes them and may throw or wait. */
export type Turn =
  | readonly ModelEvent[]
  | ((request: ModelRequest, signal: AbortSignal) => AsyncIterable<ModelEvent> | Iterable<ModelEvent>);

export interface ScriptedModel extends Model {
  /** The requests so far. Each is a copy: the conversation goes on growing. */
  readonly requests: ModelRequest[];
}

/** A model that plays its turns in order and repeats the last one. */
export const scriptedModel = (...turns: Turn[]): ScriptedModel => {
  const requests: ModelRequest[] = [];
  return {
    name: "scripted",
    requests,
    stream: async function* (request, signal) {
      requests.push({ ...request, messages: [...request.messages] });
      const turn = turns[Math.min(requests.length, turns.length) - 1];
      if (turn) yield* typeof turn === "function" ? turn(request, signal) : turn;
    },
  };
};

export const usage = (input_tokens: number, output_tokens: number): Usage => ({
  ...noUsage,
  input_tokens,
  output_tokens,
});

/** A plain answer, one delta per word. */
export const says = (text: string, counted: Usage = usage(10, 5)): ModelEvent[] => [
  ...(text.match(/\S+\s*/g) ?? []).map((word): ModelEvent => ({ type: "text", text: word })),
  { type: "usage", usage: counted },
  { type: "finish", reason: "stop" },
];

export interface ScriptedCall {
  name: string;
  args: unknown;
  id?: string | null;
}

/** An answer of tool calls. Arguments that are text go out as they are. */
export const calls = (...asked: ScriptedCall[]): ModelEvent[] => [
  ...asked.map(({ name, args, id }, index): ModelEvent => ({
    type: "tool_call",
    index,
    id: id === undefined ? `call_${index}` : id,
    name,
    arguments: typeof args === "string" ? args : JSON.stringify(args),
  })),
  { type: "usage", usage: usage(10, 5) },
  { type: "finish", reason: "tool_calls" },
];

/** Hangs as a silent endpoint does, until the caller gives up. */
export const untilAborted = async (signal: AbortSignal): Promise<void> => {
  if (signal.aborted) return;
  await once(signal, "abort");
};
