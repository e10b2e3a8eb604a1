import { windowBytes } from "./frames.ts";

/** The sender's side of a call's flow control: how much may still be sent before the receiver has to have dealt with some. */
export class SendWindow {
  #available = windowBytes;
  #closed = false;
  #waiting: (() => void)[] = [];

  /**
   * Takes up to `wanted` bytes, waiting until there is room for at least one.
   * @returns how many may be sent now; 0 when the call is over and nobody listens any more
   */
  async take(wanted: number): Promise<number> {
    while (this.#available === 0 && !this.#closed) {
      await new Promise<void>((resolve) => {
        this.#waiting.push(resolve);
      });
    }
    if (this.#closed) return 0;
    const taken = Math.min(wanted, this.#available);
    this.#available -= taken;
    return taken;
  }

  /** Is the sender held back at this moment? */
  get full(): boolean {
    return this.#available === 0 && !this.#closed;
  }

  give(bytes: number): void {
    this.#available += bytes;
    this.#awake();
  }

  close(): void {
    this.#closed = true;
    this.#awake();
  }

  #awake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const wake of waiting) wake();
  }
}
