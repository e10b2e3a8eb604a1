import type { RunEvent } from "@cortex/contracts";
import type { RunView, ToolCallView } from "./run-view.ts";

type Of<Type extends RunEvent["type"]> = Extract<RunEvent, { type: Type }>;

export const appendArguments = (view: RunView, event: Of<"tool_call.delta">): RunView =>
  change(view, event.tool_call_id, event.name, (call) => ({
    ...call,
    name: event.name === "" ? call.name : event.name,
    argumentsText: call.argumentsText + event.arguments_delta,
  }));

export const startCall = (view: RunView, event: Of<"tool_call.started">): RunView =>
  change(view, event.tool_call_id, event.name, (call) => ({
    ...call,
    name: event.name,
    arguments: event.arguments,
    argumentsText: typeof event.arguments === "string" ? event.arguments : JSON.stringify(event.arguments),
    status: "running",
    output: "",
  }));

export const appendOutput = (view: RunView, event: Of<"tool_call.output">): RunView =>
  change(view, event.tool_call_id, "", (call) => ({ ...call, output: call.output + event.chunk }));

export const endCall = (view: RunView, event: Of<"tool_call.completed">): RunView =>
  change(view, event.tool_call_id, event.name, (call) => ({
    ...call,
    name: event.name,
    status: event.is_error ? "failed" : "completed",
    result: event.result,
    effectState: event.effect_state,
    durationMs: event.duration_ms,
  }));

/** Calls whose arguments were still being written: they were never made. */
export const voidCalls = (view: RunView): RunView => declareCalls(view, []);

/**
 * Of the calls that were being written these are made, in this order. Their previews alone do not say that: of a log that was rebuilt meanwhile
 * the first ones are missing.
 */
export const declareCalls = (view: RunView, requests: readonly { id: string; name: string }[]): RunView => {
  const made = view.toolCalls.filter(({ status }) => status !== "writing");
  if (requests.length === 0 && made.length === view.toolCalls.length) return view;
  const known = new Set(made.map(({ id }) => id));
  const declared = requests
    .filter(({ id }) => !known.has(id))
    .map(({ id, name }) => view.toolCalls.findLast((call) => call.id === id) ?? writtenCall(id, name));
  return { ...view, toolCalls: [...made, ...declared] };
};

/** A new attempt makes or settles what was running: what it printed before is void. */
export const restartCalls = (view: RunView): RunView => each(view, (call) => ({ ...call, output: "" }));

/** The run is over, nobody will settle what still runs. */
export const leaveCalls = (view: RunView): RunView => each(view, (call) => ({ ...call, status: "lost" }));

const each = (view: RunView, change: (call: ToolCallView) => ToolCallView): RunView =>
  view.toolCalls.some(({ status }) => status === "running")
    ? { ...view, toolCalls: view.toolCalls.map((call) => (call.status === "running" ? change(call) : call)) }
    : view;

const change = (view: RunView, id: string, name: string, next: (call: ToolCallView) => ToolCallView): RunView => {
  const index = view.toolCalls.findLastIndex((call) => call.id === id);
  const known = view.toolCalls[index];
  if (known !== undefined) return { ...view, toolCalls: view.toolCalls.with(index, next(known)) };
  return { ...view, toolCalls: [...view.toolCalls, next(writtenCall(id, name))] };
};

const writtenCall = (id: string, name: string): ToolCallView => ({
  id,
  name,
  argumentsText: "",
  arguments: null,
  status: "writing",
  output: "",
  result: null,
  effectState: null,
  durationMs: null,
});
