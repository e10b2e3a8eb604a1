/** What ran out. */
export type Silence = "first_byte" | "idle" | "total";

export interface ModelTimeouts {
  /** Until a connection stands, milliseconds. */
  connectMs: number;
  /** Until the first event of the answer. Reasoning models think that long before they speak. Above `connectMs`. */
  firstByteMs: number;
  /** Between two events. */
  idleMs: number;
  /**
   * For what follows the finish: the answer is whole already; only its usage is missing, and that can be estimated. At most `idleMs`.
   */
  afterFinishMs: number;
  /** For one answer with all its tries. Above `firstByteMs`. */
  totalMs: number;
}

/** The SDK's own limit covers the headers only, and Node's would cut a silent body after five minutes; these cover everything. */
export const defaultTimeouts: ModelTimeouts = {
  connectMs: 10_000,
  firstByteMs: 60_000,
  idleMs: 60_000,
  afterFinishMs: 5_000,
  totalMs: 600_000,
};

/** Watches one try. `signal` ends when the caller gives up or when a time runs out; `silence` says which. */
export class Watchdog {
  readonly #controller = new AbortController();
  readonly #caller: AbortSignal;
  readonly #idleMs: number;
  readonly #afterFinishMs: number;
  readonly #total: NodeJS.Timeout;
  #timer: NodeJS.Timeout;
  #begun = false;
  #held = false;
  #silence: Silence | null = null;

  /** @param timeouts.totalMs what is left of it for this try */
  constructor(timeouts: Omit<ModelTimeouts, "connectMs">, caller: AbortSignal) {
    this.#caller = caller;
    this.#idleMs = timeouts.idleMs;
    this.#afterFinishMs = timeouts.afterFinishMs;
    this.#timer = setTimeout(() => {
      if (!this.#held) this.#bark("first_byte");
    }, timeouts.firstByteMs);
    this.#total = setTimeout(() => this.#bark("total"), timeouts.totalMs);
    if (caller.aborted) this.#onCallerAbort();
    else caller.addEventListener("abort", this.#onCallerAbort, { once: true });
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** What ran out, null while nothing did. */
  get silence(): Silence | null {
    return this.#silence;
  }

  /** Something came, and is with the consumer now: how long that one takes is not the endpoint's silence. Runs for each chunk. */
  heard(): void {
    this.#held = true;
  }

  /** The consumer wants more. Runs for each chunk, so it only moves a timer. */
  waits(): void {
    this.#held = false;
    if (this.#begun) {
      this.#timer.refresh();
      return;
    }
    this.#begun = true;
    this.#wait(this.#idleMs);
  }

  /** The answer is whole; only what belongs to it may follow. */
  finished(): void {
    this.#held = false;
    this.#begun = true;
    this.#wait(this.#afterFinishMs);
  }

  dispose(): void {
    clearTimeout(this.#timer);
    clearTimeout(this.#total);
    this.#caller.removeEventListener("abort", this.#onCallerAbort);
  }

  #wait(ms: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      if (this.#held) this.#timer.refresh();
      else this.#bark("idle");
    }, ms);
  }

  readonly #onCallerAbort = (): void => this.#controller.abort(this.#caller.reason);

  #bark(silence: Silence): void {
    this.#silence = silence;
    this.#controller.abort(new Error(`the model endpoint was silent (${silence})`));
  }
}
