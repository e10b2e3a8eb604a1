import type { OpenBrowser } from "@cortex/browser/port";
import type { EffectState, OpenApproval, ToolCallRequest, ToolEffect } from "@cortex/contracts";
import type { Logger } from "@cortex/observability";
import { ToolFailure } from "./errors.ts";
import { EventQueue } from "./event-queue.ts";
import type { AgentEvent, ToolCallCompleted, ToolClaim } from "./events.ts";
import { type ToolMessage, toolMessage } from "./messages.ts";
import type { RunSandbox } from "./run-sandbox.ts";
import type { EndedCommand } from "./sandbox-kills.ts";
import type { Tool } from "./tool.ts";
import type { PlannedCall } from "./tool-plan.ts";
import type { ToolContext } from "./tool-context.ts";
import type { Web } from "./web/web.ts";

export interface ToolCallDeps {
  /** Null: this run has none. */
  sandbox: RunSandbox | null;
  web?: Web | undefined;
  openBrowser?: OpenBrowser | undefined;
  exposePort?: ToolContext["exposePort"];
  log: Logger | null;
  /** Left out: this run cannot read what is no longer sent. */
  readMessage?: ToolContext["readMessage"];
}

export interface ToolCallsInput {
  runId: string;
  calls: readonly PlannedCall[];
  maxParallel: number;
}

/** A call that the end of the run left without a result. */
export interface UnfinishedCall {
  tool_call_id: string;
  name: string;
  effect: ToolEffect;
  /** False: it never began, and running it later is safe. */
  started: boolean;
  /** It did not react to the end of the run and may still be going on. */
  leftBehind: boolean;
  /** What the end of the run has ended in the sandbox. */
  killed: readonly EndedCommand[];
  /** What to settle it with, if nobody will run it again. */
  result: string;
  effect_state: EffectState;
}

export interface ToolCallsResult {
  /** The results there are, in the order of the calls. */
  messages: ToolMessage[];
  unfinished: UnfinishedCall[];
  /** One of the calls that succeeded ends the run (`ask`, `complete`). */
  endsRun: boolean;
}

/** Calls that may run side by side; one that may not is alone. Order is kept, so each batch sees what the one before it did. */
const inBatches = (calls: readonly PlannedCall[]): PlannedCall[][] => {
  const batches: PlannedCall[][] = [];
  let open: PlannedCall[] | null = null;
  for (const call of calls) {
    const alone = call.acts !== null && !call.acts.parallel;
    if (alone || !open) batches.push((open = []));
    open.push(call);
    if (alone) open = null;
  }
  return batches;
};

/** Runs at most `limit` at a time. Rejects with the first failure, after the others have ended. */
const eachAtMost = async <Item>(
  limit: number,
  items: readonly Item[],
  act: (item: Item) => Promise<void>,
): Promise<void> => {
  const left = [...items];
  const lane = async (): Promise<void> => {
    for (let item = left.shift(); item !== undefined; item = left.shift()) await act(item);
  };
  const ended = await Promise.allSettled(Array.from({ length: Math.min(limit, items.length) }, lane));
  for (const one of ended) if (one.status === "rejected") throw one.reason;
};

const completed = (
  call: ToolCallRequest,
  result: Omit<ToolCallCompleted, "type" | "tool_call_id" | "name">,
): ToolCallCompleted => ({
  type: "tool_call.completed",
  tool_call_id: call.id,
  name: call.name,
  ...result,
});

/** The event that settles an unfinished call for good. */
export const settled = (call: UnfinishedCall): ToolCallCompleted => ({
  type: "tool_call.completed",
  tool_call_id: call.tool_call_id,
  name: call.name,
  result: call.result,
  is_error: true,
  effect_state: call.effect_state,
  duration_ms: 0,
});

/** @param approvals if there are any, nothing of the answer acts before they are decided */
export const claimsOf = (calls: readonly PlannedCall[], approvals: readonly OpenApproval[] = []): ToolClaim[] => {
  const asked = new Set(approvals.map((approval) => approval.tool_call_id));
  return calls.map(({ request, acts }) => ({
    tool_call_id: request.id,
    name: request.name,
    effect: acts?.effect ?? "pure",
    ...(approvals.length === 0 ? {} : { awaits: asked.has(request.id) ? "approval" : "others" }),
  }));
};

/** Calls of which none has begun, of a run that ends before they may. */
export const neverBegun = (calls: readonly PlannedCall[]): UnfinishedCall[] =>
  calls.map(({ request, acts }) => ({
    tool_call_id: request.id,
    name: request.name,
    effect: acts?.effect ?? "pure",
    ...notBegun,
  }));

const notBegun = {
  started: false,
  leftBehind: false,
  killed: [],
  result: "The call was not started because the run was ended.",
  effect_state: "none",
} satisfies Partial<UnfinishedCall>;

const rethrow = (fault: { error: unknown } | null): void => {
  if (fault) throw fault.error;
};

const contextOf = (
  deps: ToolCallDeps,
  runId: string,
  call: ToolCallRequest,
  queue: EventQueue,
  signal: AbortSignal,
): ToolContext => ({
  signal,
  runId,
  toolCallId: call.id,
  idempotencyKey: `${runId}:${call.id}`,
  output: (chunk) => queue.output(call.id, chunk),
  openSandbox:
    deps.sandbox?.open ??
    (async () => {
      throw new ToolFailure("This run has no sandbox, so files and commands are not available.");
    }),
  openBrowser: deps.openBrowser,
  exposePort: deps.exposePort,
  openedSandbox: () => deps.sandbox?.opened() ?? null,
  ...(deps.readMessage ? { readMessage: deps.readMessage } : {}),
  ...(deps.web ? { web: deps.web } : {}),
  now: () => new Date(),
});

/**
 * Runs the calls of one answer and yields what they do as it happens. A call that fails is a result like any other. When `signal` is
 * aborted, running calls are given a moment to end; what has no result by then is returned as unfinished, without an event.
 */
export async function* runToolCalls(
  deps: ToolCallDeps,
  input: ToolCallsInput,
  signal: AbortSignal,
): AsyncGenerator<AgentEvent, ToolCallsResult, void> {
  const queue = new EventQueue();
  const leaving = new AbortController();
  const eitherSignal = AbortSignal.any([signal, leaving.signal]);
  const results = new Map<string, { message: ToolMessage; endsRun: boolean }>();
  const unfinished = new Map<string, UnfinishedCall>();

  const leave = (
    call: PlannedCall,
    tool: Tool,
    outcome: Pick<UnfinishedCall, "started" | "leftBehind" | "killed" | "result" | "effect_state">,
  ) =>
    unfinished.set(call.request.id, {
      tool_call_id: call.request.id,
      name: call.request.name,
      effect: tool.effect,
      ...outcome,
    });

  const settle = (
    { request, note }: PlannedCall,
    outcome: Omit<ToolCallCompleted, "type" | "tool_call_id" | "name">,
    endsRun: boolean,
  ) => {
    const result = note === undefined ? outcome.result : `${note}\n\n${outcome.result}`;
    results.set(request.id, { message: toolMessage(request.id, result, outcome.images), endsRun });
    queue.push(completed(request, { ...outcome, result }));
  };

  const act = async (call: PlannedCall): Promise<void> => {
    const { request, acts: tool } = call;
    if (tool && eitherSignal.aborted) {
      leave(call, tool, notBegun);
      return;
    }
    queue.push({
      type: "tool_call.started",
      tool_call_id: request.id,
      name: request.name,
      arguments: request.arguments,
    });
    if (!tool) {
      settle(call, { result: call.problem, is_error: true, effect_state: "none", duration_ms: 0 }, false);
      return;
    }
    const startedAt = performance.now();
    const outcome = await tool.call(request.arguments, contextOf(deps, input.runId, request, queue, eitherSignal));
    const { content: result, isError: is_error, effectState: effect_state, leftBehind, killed, images } = outcome;
    if (outcome.fault !== null) {
      deps.log?.warn({ err: outcome.fault, run_id: input.runId, tool: request.name }, "a tool failed unexpectedly");
    }
    if (outcome.interrupted) leave(call, tool, { started: true, leftBehind, killed, result, effect_state });
    else
      settle(
        call,
        {
          result,
          is_error,
          effect_state,
          duration_ms: Math.round(performance.now() - startedAt),
          ...(images ? { images } : {}),
        },
        tool.endsRun && !is_error,
      );
  };

  let running = true;
  let fault: { error: unknown } | null = null;
  const runAll = async (): Promise<void> => {
    try {
      for (const batch of inBatches(input.calls)) await eachAtMost(input.maxParallel, batch, act);
    } catch (error) {
      fault = { error };
    }
    running = false;
    queue.wake();
  };
  const all = runAll();

  try {
    for (;;) {
      for (let event = queue.take(); event; event = queue.take()) yield event;
      if (!running) break;
      await queue.news();
    }
  } finally {
    // The consumer may leave in the middle: then the calls end too, within the time that they are given.
    leaving.abort(new Error("nobody follows this run any more"));
    queue.close();
    await all;
  }
  rethrow(fault);

  const inOrder = input.calls.flatMap((call) => results.get(call.request.id) ?? []);
  return {
    messages: inOrder.map((result) => result.message),
    unfinished: input.calls.flatMap((call) => unfinished.get(call.request.id) ?? []),
    endsRun: inOrder.some((result) => result.endsRun),
  };
}
