import type { AgentEvent } from "./events.ts";
import { headOf, storableText } from "./storable.ts";

/** Output of one call that may wait for the consumer before its source is held back. Characters. */
const roomPerCall = 64 * 1024;

/** Beyond it the preview is cut: a source that does not wait must not fill our memory. Above `roomPerCall`. */
const boundPerCall = 4 * roomPerCall;

const cutNote = "\n[… output not shown …]\n";

interface WaitingOutput {
  text: string;
  cut: boolean;
  /** Resolves when the consumer has taken it. */
  taken: PromiseWithResolvers<void>;
}

/**
 * What running tools have to say until the consumer takes it, in order. Output of one call that waits is joined into one event, so the
 * memory is bounded by the number of calls, however much they print and however slowly it is taken.
 */
export class EventQueue {
  readonly #waiting: (AgentEvent | { type: "output"; toolCallId: string })[] = [];
  readonly #outputs = new Map<string, WaitingOutput>();
  #news = Promise.withResolvers<void>();
  #closed = false;

  push(event: AgentEvent): void {
    this.#waiting.push(event);
    this.#news.resolve();
  }

  /** Resolves when there is room for more of this call. */
  async output(toolCallId: string, chunk: string): Promise<void> {
    if (chunk === "" || this.#closed) return;
    let output = this.#outputs.get(toolCallId);
    if (!output) {
      output = { text: "", cut: false, taken: Promise.withResolvers<void>() };
      this.#outputs.set(toolCallId, output);
      this.#waiting.push({ type: "output", toolCallId });
      this.#news.resolve();
    }
    const room = boundPerCall - output.text.length;
    if (chunk.length <= room) output.text += chunk;
    else if (!output.cut) {
      output.text += headOf(chunk, room) + cutNote;
      output.cut = true;
    }
    if (output.text.length > roomPerCall) await output.taken.promise;
  }

  /** The next event, or null when none is waiting. */
  take(): AgentEvent | null {
    const next = this.#waiting.shift();
    if (!next) return null;
    if (next.type !== "output") return next;
    const output = this.#outputs.get(next.toolCallId);
    this.#outputs.delete(next.toolCallId);
    output?.taken.resolve();
    return { type: "tool_call.output", tool_call_id: next.toolCallId, chunk: storableText(output?.text ?? "") };
  }

  /** Resolves when something may be waiting, or when `wake` was called. */
  async news(): Promise<void> {
    await this.#news.promise;
    if (this.#waiting.length === 0) this.#news = Promise.withResolvers<void>();
  }

  wake(): void {
    this.#news.resolve();
  }

  /** Nobody takes any more: whoever waits for room goes on, and what they say is dropped. */
  close(): void {
    this.#closed = true;
    this.#waiting.length = 0;
    for (const output of this.#outputs.values()) output.taken.resolve();
    this.#outputs.clear();
  }
}
