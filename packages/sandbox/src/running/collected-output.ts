import { Channel } from "../agent/frames.ts";
import type { ExecOutput } from "../port/sandbox.ts";

interface Stream {
  decoder: TextDecoder;
  text: string;
  tail: Uint8Array[];
}

const emptyStream = (): Stream => ({ decoder: new TextDecoder(), text: "", tail: [] });

/** A tail begins anywhere, also in the middle of a character: its first continuation bytes belong to nobody. */
const withoutBrokenStart = (bytes: Buffer): Buffer => {
  let start = 0;
  while (start < 3 && ((bytes[start] ?? 0) & 0xc0) === 0x80) start++;
  return bytes.subarray(start);
};

/** The output of one command as it arrives: decoded, delivered, kept. A character split between two chunks is one character. */
export class CollectedOutput {
  readonly #deliver: ((chunk: ExecOutput) => void | Promise<void>) | undefined;
  readonly #streams = { stdout: emptyStream(), stderr: emptyStream() };

  constructor(deliver: ((chunk: ExecOutput) => void | Promise<void>) | undefined) {
    this.#deliver = deliver;
  }

  async add(channel: number, bytes: Uint8Array): Promise<void> {
    if (channel === Channel.stdout) await this.#append("stdout", bytes);
    else if (channel === Channel.stderr) await this.#append("stderr", bytes);
    else if (channel === Channel.stdoutTail) this.#streams.stdout.tail.push(bytes);
    else if (channel === Channel.stderrTail) this.#streams.stderr.tail.push(bytes);
  }

  /** @param dropped bytes lost between what came first and the tail */
  finish(dropped: { stdout: number; stderr: number }): { stdout: string; stderr: string; truncated: boolean } {
    return {
      stdout: this.#joined("stdout", dropped.stdout),
      stderr: this.#joined("stderr", dropped.stderr),
      truncated: dropped.stdout > 0 || dropped.stderr > 0,
    };
  }

  async #append(name: "stdout" | "stderr", bytes: Uint8Array): Promise<void> {
    const stream = this.#streams[name];
    const text = stream.decoder.decode(bytes, { stream: true });
    stream.text += text;
    if (text !== "") await this.#deliver?.({ stream: name, text });
  }

  #joined(name: "stdout" | "stderr", dropped: number): string {
    const { decoder, text, tail } = this.#streams[name];
    if (dropped === 0) return text + decoder.decode(Buffer.concat(tail));
    const end = new TextDecoder().decode(withoutBrokenStart(Buffer.concat(tail)));
    return `${text}\n[... ${dropped} bytes left out ...]\n${end}`;
  }
}
