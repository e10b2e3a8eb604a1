/**
 * Hands chunks from a producer that is pushed to a consumer that pulls, one at a time: `put` resolves when the chunk was taken, so nothing
 * piles up between them.
 */
export class Handover {
  #chunk: { bytes: Uint8Array; taken: () => void } | null = null;
  #end: { failed: boolean; error: unknown } | null = null;
  #left = false;
  #wake: (() => void) | null = null;

  async put(bytes: Uint8Array): Promise<void> {
    if (this.#left) return;
    await new Promise<void>((taken) => {
      this.#chunk = { bytes, taken };
      this.#wake?.();
    });
  }

  /** The producer is done. */
  end(): void {
    this.#end = { failed: false, error: null };
    this.#wake?.();
  }

  /** The producer could not go on: the error is thrown to the consumer, after the chunk that waits. */
  fail(error: unknown): void {
    this.#end = { failed: true, error };
    this.#wake?.();
  }

  /** The chunks, to the end. Leaving early releases a waiting producer. */
  async *take(): AsyncGenerator<Uint8Array, void, undefined> {
    try {
      for (;;) {
        const chunk = this.#chunk;
        if (chunk !== null) {
          yield chunk.bytes;
          this.#chunk = null;
          chunk.taken();
        } else if (this.#end !== null) {
          if (this.#end.failed) throw this.#end.error;
          return;
        } else {
          await new Promise<void>((wake) => {
            this.#wake = wake;
          });
        }
      }
    } finally {
      this.leave();
    }
  }

  /** The consumer wants no more. */
  leave(): void {
    this.#left = true;
    this.#chunk?.taken();
  }
}
