import {
  type EffectState,
  type Message,
  type MessageRole,
  noUsage,
  type RunError,
  type RunEvent,
  type RunStatus,
  type StopReceipt,
  type Usage,
  type Usd,
} from "@cortex/contracts";

/** One message of the run as far as it is known. */
export interface MessageView {
  id: string;
  role: MessageRole;
  /** `streaming`: made of previews, which may still be taken back. Otherwise the message is stored as it stands here. */
  status: "streaming" | Message["status"];
  /** All text parts in one. */
  text: string;
  /** The model's thoughts, which are only ever previews: empty after a rebuilt log. */
  reasoning: string;
  /** The whole message, once it is stored. */
  message: Message | null;
}

export interface ToolCallView {
  id: string;
  name: string;
  /** The arguments as the model writes them; later the JSON text of `arguments`. */
  argumentsText: string;
  /** Null while the model still writes them. */
  arguments: Extract<RunEvent, { type: "tool_call.started" }>["arguments"];
  /** `writing`: the model still writes the arguments · `lost`: the run ended before the call did. */
  status: "writing" | "running" | "completed" | "failed" | "lost";
  /** What the tool has printed so far. */
  output: string;
  result: string | null;
  /** `unknown`: nobody can say whether it took effect. Null until the call has ended. */
  effectState: EffectState | null;
  durationMs: number | null;
}

export interface StepView {
  step: number;
  model: string;
  status: "running" | "completed";
  usage: Usage | null;
  costUsd: Usd | null;
  durationMs: number | null;
}

/** A run as its events tell it. Immutable; parts that did not change stay the same objects. */
export interface RunView {
  status: RunStatus;
  /** Runs ahead in the queue, while it is queued and that is known. */
  position: number | null;
  /** Why it waits, while it does. */
  waiting: string | null;
  /** When it goes on by itself, while it waits for that. */
  resumeAt: string | null;
  model: string | null;
  attempt: number;
  /** In the order in which they began. */
  messages: readonly MessageView[];
  toolCalls: readonly ToolCallView[];
  steps: readonly StepView[];
  /** Sum of the steps that ended; of the whole run once it ended. */
  usage: Usage;
  costUsd: Usd;
  error: RunError | null;
  receipt: StopReceipt | null;
  /** The log's bound was reached: messages and tool calls come whole from here on. */
  truncated: boolean;
  createdAt: string | null;
  startedAt: string | null;
  endedAt: string | null;
}

/** Of a run of which nothing has been heard yet. */
export const emptyRunView: RunView = {
  status: "queued",
  position: null,
  waiting: null,
  resumeAt: null,
  model: null,
  attempt: 0,
  messages: [],
  toolCalls: [],
  steps: [],
  usage: noUsage,
  costUsd: "0",
  error: null,
  receipt: null,
  truncated: false,
  createdAt: null,
  startedAt: null,
  endedAt: null,
};
