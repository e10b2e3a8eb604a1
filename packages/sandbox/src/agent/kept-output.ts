import { constants } from "node:fs";
import type { FileHandle } from "node:fs/promises";
import type { Arguments } from "./arguments.ts";
import { locate, makeParents, openLocated, type Workspace } from "./confine.ts";
import { OperationError } from "./operation-error.ts";

/** What was kept of a command's output, on the wire. */
export interface KeptFile {
  path: string;
  /** In the file. */
  bytes: number;
  /** Nothing is missing from it. */
  complete: boolean;
}

/**
 * The output of one command as a file of the workspace, both streams as they come. The file begins to exist when there is more output than
 * the caller wants to see without one. Keeping never fails a command: what cannot be written is missing, and that is said.
 */
export class KeptOutput {
  readonly #workspace: Workspace;
  readonly #path: string;
  readonly #aboveBytes: number;
  readonly #maxBytes: number;
  /** What there is while it is still too little for a file; null from then on. */
  #pending: Uint8Array[] | null = [];
  #pendingBytes = 0;
  #handle: FileHandle | null = null;
  #written = 0;
  #complete = true;
  /** Two streams write: one after the other. */
  #turn: Promise<void> = Promise.resolve();

  constructor(workspace: Workspace, options: { path: string; aboveBytes: number; maxBytes: number }) {
    this.#workspace = workspace;
    this.#path = options.path;
    this.#aboveBytes = options.aboveBytes;
    this.#maxBytes = options.maxBytes;
  }

  write(chunk: Uint8Array): Promise<void> {
    this.#turn = this.#turn.then(() => this.#write(chunk)).catch(() => this.#giveUp());
    return this.#turn;
  }

  /** @returns null if there was too little output for a file, or none could be made */
  async finish(): Promise<KeptFile | null> {
    await this.#turn;
    const handle = this.#handle;
    this.#handle = null;
    this.#pending = null;
    if (handle === null) return null;
    await handle.close().catch(() => this.#giveUp());
    return { path: this.#path, bytes: this.#written, complete: this.#complete };
  }

  async #write(chunk: Uint8Array): Promise<void> {
    if (this.#pending !== null) {
      // Copied, so that a few bytes do not keep the buffer that they were read into.
      this.#pending.push(Uint8Array.from(chunk));
      this.#pendingBytes += chunk.length;
      if (this.#pendingBytes <= this.#aboveBytes) return;
      const bytes = Buffer.concat(this.#pending);
      this.#pending = null;
      this.#handle = await this.#open();
      return this.#append(bytes);
    }
    if (this.#handle !== null) await this.#append(chunk);
  }

  async #open(): Promise<FileHandle> {
    const target = await locate(this.#workspace, this.#path);
    await makeParents(this.#workspace, target, this.#path);
    const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC;
    const handle = await openLocated(this.#workspace, target, this.#path, flags);
    if ((await handle.stat()).isFile()) return handle;
    await handle.close();
    throw new OperationError("not_a_file", `This is not a file: ${this.#path}`);
  }

  async #append(bytes: Uint8Array): Promise<void> {
    const fitting = bytes.subarray(0, this.#maxBytes - this.#written);
    if (fitting.length < bytes.length) this.#complete = false;
    for (let at = 0; at < fitting.length && this.#handle !== null;) {
      const { bytesWritten } = await this.#handle.write(fitting, at);
      at += bytesWritten;
      this.#written += bytesWritten;
    }
  }

  /** The disk is full, or the file is beyond the limit on its size: the command goes on. */
  #giveUp(): void {
    this.#complete = false;
    this.#pending = null;
  }
}

/** What a request says about keeping; null if nothing is to be kept. */
export const keptOutputOf = (workspace: Workspace, values: Arguments): KeptOutput | null => {
  const path = values.textOrNull("keep_path");
  if (path === null) return null;
  return new KeptOutput(workspace, {
    path,
    aboveBytes: values.count("keep_above_bytes"),
    maxBytes: values.count("keep_max_bytes"),
  });
};
