import { Channel } from "./frames.ts";

/** The end of each stream is kept beside its beginning: long enough for a stack trace or a test summary. */
const maxTailBytes = 8 * 1024;

interface Tail {
  bytes: Buffer;
  /** What went by after the head was full. */
  passed: number;
}

const emptyTail = (): Tail => ({ bytes: Buffer.alloc(0), passed: 0 });

/**
 * The output of one command within a bound: a head that is sent as it comes, and the last bytes of each stream. A command that prints a
 * gigabyte costs the pipe and the host no more than the bound.
 */
export class BoundedOutput {
  readonly #send: (channel: number, bytes: Uint8Array) => Promise<void>;
  readonly #tailBytes: number;
  #headLeft: number;
  readonly #tails = { [Channel.stdout]: emptyTail(), [Channel.stderr]: emptyTail() };

  /** @param maxBytes for head and both tails together */
  constructor(send: (channel: number, bytes: Uint8Array) => Promise<void>, maxBytes: number) {
    this.#send = send;
    this.#tailBytes = Math.min(maxTailBytes, Math.floor(maxBytes / 8));
    this.#headLeft = maxBytes - 2 * this.#tailBytes;
  }

  /** Returns when the host has room for more. */
  async write(channel: typeof Channel.stdout | typeof Channel.stderr, chunk: Uint8Array): Promise<void> {
    const head = chunk.subarray(0, this.#headLeft);
    this.#headLeft -= head.length;
    const rest = chunk.subarray(head.length);
    if (rest.length > 0) this.#keepTail(this.#tails[channel], rest);
    if (head.length > 0) await this.#send(channel, head);
  }

  /** Sends what was kept of the ends. @returns bytes that are lost, of each stream */
  async finish(): Promise<{ stdout: number; stderr: number }> {
    const { [Channel.stdout]: stdout, [Channel.stderr]: stderr } = this.#tails;
    await this.#send(Channel.stdoutTail, stdout.bytes);
    await this.#send(Channel.stderrTail, stderr.bytes);
    return { stdout: stdout.passed - stdout.bytes.length, stderr: stderr.passed - stderr.bytes.length };
  }

  #keepTail(tail: Tail, bytes: Uint8Array): void {
    tail.passed += bytes.length;
    const joined = bytes.length >= this.#tailBytes ? Buffer.from(bytes) : Buffer.concat([tail.bytes, bytes]);
    // Copied, so that the few bytes do not keep the whole chunk alive.
    tail.bytes = Buffer.from(joined.subarray(Math.max(0, joined.length - this.#tailBytes)));
  }
}
