import {
  addUsage,
  addUsd,
  noUsage,
  type ToolEffect,
  type ToolCallRequest,
  type Usage,
  type Usd,
} from "@cortex/contracts";
import type { AgentInput, CallDecision, PendingToolCall } from "../../agent.ts";
import { digestOf } from "../../approval.ts";
import type { AgentEvent, ContextCompacted, ModelCompleted } from "../../events.ts";
import { type AgentMessage, textContent, toolMessage, userMessage } from "../../messages.ts";

interface Row {
  seq: number;
  message: AgentMessage;
  /** Null: a user posted it. */
  step: number | null;
}

interface KeptCall {
  call: ToolCallRequest;
  effect: ToolEffect;
  state: "started" | "awaiting" | "released" | "done";
  decision: CallDecision | null;
  result: string;
  isError: boolean;
}

/**
 * What whoever keeps a run stores of it, with summaries, approvals and messages that are posted meanwhile: in memory, by the same rules as the rooms that
 * keep it in Postgres. An attempt that dies loses what `forget` drops.
 */
export class KeptRun {
  readonly rows: Row[] = [];
  readonly callIds: string[] = [];
  spent: { usage: Usage; cost_usd: Usd } = { usage: noUsage, cost_usd: "0" };
  summary: { id: string; text: string; through: number; kept: readonly number[]; tainted: boolean } | null = null;
  calls: KeptCall[] = [];
  #steps = 0;
  #open = false;
  /** What the last stored answer was given to: the messages below. */
  #seen = Infinity;
  #asked = 0;
  #known = 0;
  /** The attempt has read the messages below. */
  #told = 0;
  #posted = false;
  /** An answer without calls is stored when it is known what follows. */
  #unstored: ModelCompleted | null = null;

  post(words: string): void {
    const id = `user-${this.rows.filter(({ step }) => step === null).length}`;
    this.rows.push({ seq: this.rows.length, message: { ...userMessage(words), id }, step: null });
  }

  /** Something was posted that the last answer has not seen. */
  get postedMeanwhile(): boolean {
    return this.rows.length !== this.#known;
  }

  forget(): void {
    this.#unstored = null;
  }

  /** What the next attempt is told. */
  read(): Pick<
    AgentInput,
    "messages" | "summary" | "tainted" | "takenCallIds" | "firstStep" | "pendingToolCalls" | "spent"
  > {
    const { summary } = this;
    const sent = summary
      ? this.rows.filter(({ seq }) => seq > summary.through || summary.kept.includes(seq))
      : this.rows;
    const unseen = (row: Row) => row.step === null && row.seq >= this.#seen;
    this.#known = this.rows.length;
    this.#told = this.#known;
    this.#posted = false;
    return {
      messages: [...sent.filter((row) => !unseen(row)), ...sent.filter(unseen)].map(({ message }) => message),
      summary,
      tainted: summary?.tainted ?? false,
      takenCallIds: summary ? this.callIds : [],
      firstStep: this.#steps,
      spent: this.spent,
      ...(this.#open ? { pendingToolCalls: this.#pending() } : {}),
    };
  }

  /** Those that were posted since this was last asked, as far as the last write has met them. */
  news(): AgentMessage[] {
    if (!this.#posted) return [];
    this.#posted = false;
    const [from, to] = [this.#told, this.#known];
    this.#told = to;
    return this.rows.flatMap(({ seq, step, message }) => (step === null && seq >= from && seq < to ? [message] : []));
  }

  keep(event: AgentEvent): void {
    switch (event.type) {
      case "step.started":
        this.storeLast();
        this.#asked = this.#known;
        return;
      case "context.compacted":
        return this.#write(event, () => this.#summarise(event));
      case "model.completed":
        if (event.message.tool_calls.length === 0) this.#unstored = event;
        else this.#write(event, () => this.#store(event));
        return;
      case "tool_call.completed": {
        const call = this.calls.find(({ call: { id } }) => id === event.tool_call_id);
        if (!call || call.state === "done") throw new Error(`${event.tool_call_id} was settled twice, or never made`);
        Object.assign(call, { state: "done", result: event.result, isError: event.is_error });
        return;
      }
      case "step.completed":
        if (!this.#unstored) this.#write(null, () => this.#endStep());
        return;
      default:
    }
  }

  storeLast(): void {
    const last = this.#unstored;
    this.#unstored = null;
    if (last) this.#write(last, () => this.#store(last));
  }

  #write(charge: { usage: Usage; cost_usd: Usd } | null, act: () => void): void {
    if (this.postedMeanwhile) this.#posted = true;
    act();
    if (charge) this.charge(charge);
    this.#known = this.rows.length;
  }

  charge({ usage, cost_usd }: { usage: Usage; cost_usd: Usd }): void {
    this.spent = { usage: addUsage(this.spent.usage, usage), cost_usd: addUsd(this.spent.cost_usd, cost_usd) };
  }

  #store({ step, message, claims }: ModelCompleted): void {
    const { id, text, tool_calls, status } = message;
    this.rows.push({
      seq: this.rows.length,
      message: { id, role: "assistant", content: textContent(text), tool_calls, status },
      step,
    });
    this.#steps = step + 1;
    this.#seen = this.#asked;
    this.#open = tool_calls.length > 0;
    this.calls = tool_calls.map((call, index) => {
      const claim = claims[index];
      const state = claim?.awaits === "approval" ? "awaiting" : claim?.awaits === "others" ? "released" : "started";
      return { call, effect: claim?.effect ?? "once", state, decision: null, result: "", isError: false };
    });
    for (const call of tool_calls) {
      if (this.callIds.includes(call.id)) throw new Error(`the id ${call.id} is used again`);
      this.callIds.push(call.id);
    }
  }

  #endStep(): void {
    for (const { call, state, result } of this.calls) {
      if (state !== "done") throw new Error(`the step ended without ${call.id}`);
      this.rows.push({ seq: this.rows.length, message: toolMessage(call.id, result), step: this.#steps - 1 });
    }
    this.calls = [];
    this.#open = false;
  }

  #summarise({ summary, before, keptUserMessages, tainted }: ContextCompacted): void {
    const first = this.rows.find(({ message }) => message.id === before);
    if (!first) throw new Error(`a summary stands before a message that is not stored: ${before}`);
    const kept = this.rows.filter(({ message: { id = "" }, seq }) => seq < first.seq && keptUserMessages.includes(id));
    this.summary = { ...summary, through: first.seq - 1, kept: kept.map(({ seq }) => seq), tainted };
  }

  #pending(): PendingToolCall[] {
    const held = this.calls.some(({ state, decision }) => state === "awaiting" && decision === null);
    return this.calls.map((one): PendingToolCall => {
      const { call, state, decision, effect, result, isError } = one;
      if (state === "done") return { call, state, result, isError };
      if (state === "awaiting" && decision === null) return { call, state };
      if (state === "started" && effect === "once") return { call, state: "unknown" };

      if (!held && decision?.kind !== "reject") one.state = "started";
      return decision ? { call, state: "decided", digest: digestOf(call), decision } : { call, state: "run" };
    });
  }
}
