import type { PendingToolCall } from "../../agent.ts";
import type { AgentEvent, ModelCompleted, ToolCallCompleted } from "../../events.ts";
import { type AgentMessage, textContent, toolMessage, userMessage } from "../../messages.ts";

/** What whoever keeps a run has stored of it, and what is not stored yet; the same rules as in the worker's recorder. */
export interface Kept {
  messages: AgentMessage[];
  nextStep: number;
  open: { answer: ModelCompleted; results: Map<string, ToolCallCompleted> } | null;
  /** An answer without calls is only stored when it is known what follows. */
  unstored: ModelCompleted | null;
  posted: boolean;
}

export const nothingKept = (prompt: string): Kept => ({
  messages: [userMessage(prompt)],
  nextStep: 0,
  open: null,
  unstored: null,
  posted: false,
});

export const copyOf = (kept: Kept): Kept => ({
  ...kept,
  messages: [...kept.messages],
  open: kept.open && { ...kept.open, results: new Map(kept.open.results) },
});

const store = (kept: Kept, { message, step }: ModelCompleted): void => {
  kept.messages.push({
    role: "assistant",
    content: textContent(message.text),
    tool_calls: message.tool_calls,
    status: message.status,
  });
  kept.nextStep = step + 1;
};

export const storeLast = (kept: Kept): void => {
  if (kept.unstored) store(kept, kept.unstored);
  kept.unstored = null;
};

export const keep = (kept: Kept, event: AgentEvent): void => {
  switch (event.type) {
    case "step.started":
      storeLast(kept);
      return;
    case "model.completed":
      if (event.message.tool_calls.length === 0) kept.unstored = event;
      else {
        store(kept, event);
        kept.open = { answer: event, results: new Map() };
      }
      return;
    case "tool_call.completed":
      kept.open?.results.set(event.tool_call_id, event);
      return;
    case "step.completed": {
      const { open } = kept;
      for (const { id } of open?.answer.message.tool_calls ?? []) {
        const done = open?.results.get(id);
        if (done) kept.messages.push(toolMessage(id, done.result));
      }
      kept.open = null;
      return;
    }
    default:
  }
};

/** The calls that a crash leaves: what is settled, what may run, and what nobody knows. */
export const pendingOf = ({ open }: Kept): PendingToolCall[] =>
  (open?.answer.message.tool_calls ?? []).map((call, index) => {
    const done = open?.results.get(call.id);
    if (done) return { call, state: "done", result: done.result, isError: done.is_error };
    return open?.answer.claims[index]?.effect === "once" ? { call, state: "unknown" } : { call, state: "run" };
  });
