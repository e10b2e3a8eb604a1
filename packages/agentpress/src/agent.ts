import type { KilledCommand, OpenApproval, RunErrorCode, ToolCallRequest, Usage, Usd } from "@cortex/contracts";
import type { Logger } from "@cortex/observability";
import type { OpenBrowser } from "@cortex/browser/port";
import type { OpenSandbox } from "@cortex/sandbox/port";
import type { CompletedAnswer } from "./events.ts";
import type { AgentMessage } from "./messages.ts";
import type { Model, ModelParameters } from "./model.ts";
import type { ModelCatalogue, ModelPrice } from "./models/catalogue.ts";
import type { Tool } from "./tool.ts";
import type { ExposePort, ToolContext } from "./tool-context.ts";
import type { UnfinishedCall } from "./tool-calls.ts";
import type { Web } from "./web/web.ts";

export interface AgentDeps {
  model: Model;
  /** Left out: what the data file knows. */
  catalogue?: ModelCatalogue;
  /** In the order in which the model gets them. Keep it stable: providers cache the beginning of a prompt. */
  tools: readonly Tool[];
  hooks?: AgentHooks;
  /** Without it, tools that need a computer fail and say why. */
  openSandbox?: OpenSandbox;
  /** Without it, tools that need the web fail and say why. */
  web?: Web;
  /** Without it, there is no browser. Whoever gives it also ends it. */
  openBrowser?: OpenBrowser;
  /** Without it, no port of the sandbox is shown to people. */
  exposePort?: ExposePort;
  /** Reads a message of the conversation that is no longer sent, for `expand_message`. */
  readMessage?: ToolContext["readMessage"];
  /** Longest waits before a broken or empty answer is asked for again, milliseconds; as many as there are retries. */
  answerRetriesMs?: readonly number[];
  /** Where faults go that the model and the user only see as a sentence. */
  log?: Logger;
}

/** The tools of a run at one moment. */
export interface ToolSet {
  /** In the order in which the model gets them. */
  tools: readonly Tool[];
  /** Tools that the run has to do without, by name: the sentence that a model reads which calls one all the same. */
  unavailable?: ReadonlyMap<string, string>;
}

/** Questions to whoever keeps the run. What a hook throws is thrown by `runAgent`: it is a fault of the house, not of the run. */
export interface AgentHooks {
  /** Asked after each step: user messages posted meanwhile, oldest first, each given once. */
  nextMessages?(): Promise<readonly AgentMessage[]>;
  /**
   * Asked before each step, and before calls that an earlier attempt has left: the tools as they are now, instead of those of the start. Must be
   * cheap, and keep the order.
   */
  tools?(): Promise<ToolSet>;
  /** Asked before each model call: may this run spend more? */
  beforeStep?(): Promise<"go" | { stop: RunErrorCode }>;
}

export interface AgentLimits {
  /** Steps of the whole run, earlier attempts included. */
  maxSteps: number;
  /** When the run must have ended. */
  deadline: Date;
  /** Money of the whole run, earlier attempts included. Not enforced for a model without a known price. */
  maxCostUsd?: Usd | undefined;
  /** The same calls so many times in a row (of one step, or of two, three or four in turn) are not run any more and end the run. Default 3. */
  maxRepeatedCalls?: number;
  /** So often an answer that the output limit cuts is gone on with. Each time is a step. Default 8. */
  maxContinuations?: number;
  /** Calls of one answer that run at the same time. Default 8. */
  maxParallelCalls?: number;
}

/** What a model wrote about messages that are no longer sent. */
export interface ContextSummary {
  id: string;
  text: string;
}

export interface ContextSettings {
  /** Tokens that fit into a model of which nothing is known. Default 128,000. */
  assumedWindow?: number;
  /** Tokens that fit into this run's model, whatever the catalogue says. */
  window?: number;
  /** Writes the summaries. Default: the run's own model. */
  summaryModel?: string;
}

/** A call of the last assistant message, as an earlier attempt left it. */
export type PendingToolCall =
  /** Settled: the result is taken as it is, no event is yielded. */
  | { call: ToolCallRequest; state: "done"; result: string; isError: boolean }
  /** Never begun, or harmless to repeat: it runs first. */
  | { call: ToolCallRequest; state: "run" }
  /** Begun and not settled: it is not repeated, and the model is told that nobody knows. */
  | { call: ToolCallRequest; state: "unknown" }
  /** Nobody has decided about it yet: no call of the step acts, and the engine ends with `waiting` again. */
  | { call: ToolCallRequest; state: "awaiting" }
  /** A person has decided about the call that `digest` stands for, and it has not begun, or is harmless to repeat. */
  | { call: ToolCallRequest; state: "decided"; digest: string; decision: CallDecision };

/** What a person decided. The comment of a rejection or a change is for the model. */
export type CallDecision =
  | { kind: "approve" }
  | { kind: "reject"; comment: string | null }
  | { kind: "edit"; arguments: ToolCallRequest["arguments"]; comment: string | null };

export interface AgentInput {
  runId: string;
  requestId: string;
  /** The system prompt. */
  instructions: string;
  /** The conversation, oldest first. Holes of earlier runs (calls without results) are repaired, see `context/history.ts`. */
  messages: readonly AgentMessage[];
  /** The model's name at the endpoint. */
  model: string;
  /** Asked in this order when `model` fails with something that another one may survive (`fallback.ts`), within the same limits. */
  fallbackModels?: readonly string[];
  parameters?: ModelParameters;
  /** Of `model`. Left out: from the catalogue. Null: none is known. */
  price?: ModelPrice | null;
  limits: AgentLimits;
  /** The number of the next model call; 0 in a fresh run. Pending calls belong to the step before it and close it. */
  firstStep: number;
  pendingToolCalls?: readonly PendingToolCall[];
  /** What earlier attempts of this run used; the totals and the budget begin there. */
  spent?: { usage: Usage; cost_usd: Usd };
  /** The summary of what is missing from `messages`, from an earlier compaction of this conversation. */
  summary?: ContextSummary | null;
  /** How the conversation is kept within the model's window. */
  context?: ContextSettings;
  /** A stranger may have written parts of this conversation that `messages` no longer shows. */
  tainted?: boolean;
  /** Ids of tool calls that must not be used again although `messages` does not show them. */
  takenCallIds?: readonly string[];
  /** Further headers of the model requests. */
  headers?: Readonly<Record<string, string>>;
}

/**
 * An answer that the end of the run cut short. What was shown of it is worth keeping, marked `interrupted`; if that was no text (thoughts,
 * half of a call), what was shown is void.
 */
export interface InterruptedAnswer extends CompletedAnswer {
  status: "interrupted";
}

export interface AgentTotals {
  /** Of the whole run, `input.spent` included. */
  usage: Usage;
  cost_usd: Usd;
  /** The part of it that no `model.completed` carried: answers that broke, failed or were aborted. Estimated from what was seen. */
  unreported: { usage: Usage; cost_usd: Usd };
}

/** How it ended: returned, never thrown. */
export type AgentOutcome = AgentTotals &
  (
    | { kind: "completed" }
    | {
        kind: "failed";
        code: RunErrorCode;
        /** Fit for the user. */
        message: string;
        /** The same run may succeed when it is started again. */
        retryable: boolean;
        interrupted: InterruptedAnswer | null;
      }
    | {
        /**
         * The provider lets nobody through for now. The step that was asked for has left nothing: run the agent again later, with the same
         * `firstStep`. Whoever cannot wait ends the run with this code and message.
         */
        kind: "waiting";
        reason: "provider_limit";
        code: RunErrorCode;
        message: string;
        /** What the provider asks for; null: it does not say. */
        retryAfterMs: number | null;
      }
    | {
        /**
         * Some calls of the last answer need a person, so none of its calls has acted. Run the agent again when all of them are decided, with
         * the same `firstStep` and the calls as `pendingToolCalls`.
         */
        kind: "waiting";
        reason: "approval";
        /** In the order in which the model asked. */
        approvals: readonly OpenApproval[];
      }
    | {
        kind: "aborted";
        /** The reason of the caller's signal. */
        reason: unknown;
        interrupted: InterruptedAnswer | null;
        /** Calls of the last answer that have no result. The caller decides: a successor may run them, or they are settled as they say. */
        unfinished: UnfinishedCall[];
        /** What was under way, for a receipt: `model call`, `tool call <name>` (with `, left behind` if it did not react), or nothing. */
        aborted: string[];
        /** What the abort has ended in the sandbox, for a receipt. */
        killed: KilledCommand[];
      }
  );
