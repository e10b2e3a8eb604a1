import { randomUUID } from "node:crypto";
import { MessageId, type Usage } from "@cortex/contracts";
import type { LiveEvent } from "./events.ts";
import { ModelError } from "./errors.ts";
import type { FinishReason, ModelEvent } from "./model.ts";
import { storableText } from "./storable.ts";

/**
 * No model writes that much; an endpoint that does is broken, and its answer must not fill our memory. Characters, all kinds of
 * content together; far above the largest output limit on the market (128,000 tokens).
 */
const maxAnswerChars = 4_000_000;

/**
 * Nor that many calls. Each is a row, a result and an event, also the ones that are refused (`maxCallsPerAnswer` in `tool-plan.ts` is what may act);
 * a hundred thousand empty ones would still be below the characters.
 */
const maxAnswerCalls = 1_000;

/** A tool call as the model wrote it: `text` is the arguments' source. */
export interface WrittenCall {
  id: string;
  name: string;
  text: string;
  /** Why it must not run, if its reader knows already. */
  problem: string | null;
}

interface OpenCall extends WrittenCall {
  /** The provider's own id, which may be missing or taken. */
  givenId: string | null;
}

/**
 * One answer while it is written. `take` folds one event in and gives back what the follower gets to see of it, or null; it does no
 * work beyond that, because it runs for each chunk.
 */
export class Answer {
  readonly id: MessageId = MessageId.parse(randomUUID());
  finish: FinishReason | null = null;
  usage: Usage | null = null;
  /** Something of it was shown, so that giving it up must be said. */
  shown = false;
  #text = "";
  #reasoning = "";
  #size = 0;
  readonly #calls: OpenCall[] = [];
  /** Which call the provider's index means at the moment. */
  readonly #byIndex = new Map<number, OpenCall>();
  readonly #takenIds: ReadonlySet<string>;
  /** Of the calls of this answer. */
  readonly #ownIds = new Set<string>();

  /** @param takenIds ids of earlier calls of this conversation: an id must name one call only */
  constructor(takenIds: ReadonlySet<string>) {
    this.#takenIds = takenIds;
  }

  get text(): string {
    return storableText(this.#text);
  }

  get reasoning(): string {
    return storableText(this.#reasoning);
  }

  get calls(): readonly WrittenCall[] {
    return this.#calls;
  }

  /** Everything that counts as output, for an estimate. */
  get written(): { output: string; reasoning: string } {
    const calls = this.#calls.map((call) => call.name + call.text).join("");
    return { output: this.#text + calls, reasoning: this.#reasoning };
  }

  /** Has the model said anything at all, to the user or by a call? Thoughts alone are no answer. */
  get isEmpty(): boolean {
    return this.#calls.length === 0 && this.#text.trim() === "";
  }

  /** @throws ModelError when the answer outgrows `maxAnswerChars` or `maxAnswerCalls` */
  take(event: ModelEvent): LiveEvent | null {
    switch (event.type) {
      case "text":
        this.#text += event.text;
        this.#grow(event.text.length);
        return { type: "message.delta", message_id: this.id, text: event.text };
      case "reasoning":
        this.#reasoning += event.text;
        this.#grow(event.text.length);
        return { type: "reasoning.delta", message_id: this.id, text: event.text };
      case "tool_call":
        return this.#takeCall(event);
      case "usage":
        this.usage = event.usage;
        return null;
      case "finish":
        // A second finish does not make an answer whole that was cut.
        if (this.finish !== "length" && this.finish !== "filtered") this.finish = event.reason;
        return null;
    }
  }

  #grow(by: number): void {
    this.shown = true;
    this.#size += by;
    if (this.#size > maxAnswerChars) {
      throw new ModelError("model_malformed", {
        phase: "answer",
        detail: "the answer is longer than any model writes",
      });
    }
  }

  #takeCall(event: Extract<ModelEvent, { type: "tool_call" }>): LiveEvent {
    let call = this.#byIndex.get(event.index);
    // Some endpoints send every parallel call under index 0: a new id then means a new call.
    if (!call || (event.id !== null && call.givenId !== null && event.id !== call.givenId)) {
      if (this.#calls.length === maxAnswerCalls) {
        throw new ModelError("model_malformed", {
          phase: "answer",
          detail: "the answer holds more calls than any model makes",
        });
      }
      call = { id: this.#uniqueId(event.id), givenId: event.id, name: "", text: "", problem: null };
      this.#byIndex.set(event.index, call);
      this.#calls.push(call);
    }
    call.givenId ??= event.id;
    // Some endpoints repeat the name in every piece, none is known to send it in parts.
    if (call.name === "" && event.name !== null) call.name = storableText(event.name);
    call.text += event.arguments;
    call.problem ??= event.problem ?? null;
    this.#grow(event.arguments.length + 1);
    return { type: "tool_call.delta", tool_call_id: call.id, name: call.name, arguments_delta: event.arguments };
  }

  #uniqueId(given: string | null): string {
    const usable = given !== null && given !== "" && given.length <= 128 && given === storableText(given);
    const taken = usable && (this.#takenIds.has(given) || this.#ownIds.has(given));
    const id = usable && !taken ? given : `call_${randomUUID().replaceAll("-", "")}`;
    this.#ownIds.add(id);
    return id;
  }
}
