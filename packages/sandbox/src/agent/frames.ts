/**
 * The wire between a process of ours and the agent inside a sandbox: frames over a byte stream.
 *
 *   u32 payload length | u8 type | u32 call | payload
 *
 * Numbers are big-endian. Data frames carry raw bytes behind one byte that names the channel; all others carry JSON or nothing.
 * This folder runs inside the sandbox: it imports Node's built-in modules and itself, nothing else.
 */
export const FrameType = {
  /** Host to agent: JSON `{op, args}`; opens the call. */
  request: 1,
  /** Agent to host: JSON result; ends the call. */
  response: 2,
  /** Agent to host: JSON `{reason, message}`; ends the call. */
  failure: 3,
  /** Either way: channel byte, then bytes. */
  data: 4,
  /** Host to agent: the call's body is complete. */
  end: 5,
  /** Either way: u32 bytes that the receiver has dealt with; the sender may send so many more. */
  credit: 6,
  /** Host to agent: end the call, whatever it does. It still answers. */
  cancel: 7,
  /** Agent to host, once, call 0: it listens. */
  ready: 8,
  /** Host to agent, call 0, and back: is anybody there? */
  ping: 9,
  pong: 10,
} as const;

/** What a data frame belongs to. */
export const Channel = {
  body: 0,
  stdout: 1,
  stderr: 2,
  stdoutTail: 3,
  stderrTail: 4,
  entry: 5,
  connected: 6,
  finished: 7,
} as const;

export interface Frame {
  type: number;
  call: number;
  payload: Uint8Array;
}

const headerBytes = 9;

/** Bytes of one data frame: large enough to amortise the header, small enough that calls take turns on the pipe. */
export const maxDataBytes = 64 * 1024;

/**
 * Bytes of a call that may be under way and not yet dealt with, each way. It bounds what either side ever holds for a call, however
 * much the call moves: eight frames, so that the pipe stays full while some of them are being dealt with.
 */
export const windowBytes = 8 * maxDataBytes;

/** A control frame holds at most a list of 10,000 entries with long names. */
const maxPayloadBytes = 16 * 1024 * 1024;

class FrameError extends Error {}

const frame = (type: number, call: number, length: number): Uint8Array => {
  const bytes = new Uint8Array(headerBytes + length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, length);
  view.setUint8(4, type);
  view.setUint32(5, call);
  return bytes;
};

export const jsonFrame = (type: number, call: number, value: unknown): Uint8Array => {
  const payload = new TextEncoder().encode(JSON.stringify(value));
  const bytes = frame(type, call, payload.length);
  bytes.set(payload, headerBytes);
  return bytes;
};

export const emptyFrame = (type: number, call: number): Uint8Array => frame(type, call, 0);

export const creditFrame = (call: number, count: number): Uint8Array => {
  const bytes = frame(FrameType.credit, call, 4);
  new DataView(bytes.buffer).setUint32(headerBytes, count);
  return bytes;
};

export const dataFrame = (call: number, channel: number, data: Uint8Array): Uint8Array => {
  const bytes = frame(FrameType.data, call, 1 + data.length);
  bytes[headerBytes] = channel;
  bytes.set(data, headerBytes + 1);
  return bytes;
};

export const readJson = (payload: Uint8Array): unknown => JSON.parse(new TextDecoder().decode(payload));

export const readCredit = (payload: Uint8Array): number => {
  if (payload.length !== 4) throw new FrameError("credit frame of a wrong length");
  return new DataView(payload.buffer, payload.byteOffset, 4).getUint32(0);
};

export const readData = (payload: Uint8Array): { channel: number; data: Uint8Array } => {
  const channel = payload[0];
  if (channel === undefined) throw new FrameError("data frame without a channel");
  return { channel, data: payload.subarray(1) };
};

/** Cuts a byte stream into frames, whatever the chunks are. Trusts nothing: an impossible length is an error, not an allocation. */
export class FrameReader {
  #parts: Uint8Array[] = [];
  #held = 0;
  /** Bytes of the frame that has begun, header included; null while its header is incomplete. */
  #wanted: number | null = null;

  /** @throws FrameError if the stream is not one of frames */
  *push(chunk: Uint8Array): Generator<Frame, void, undefined> {
    this.#parts.push(chunk);
    this.#held += chunk.length;
    for (;;) {
      if (this.#wanted === null) {
        if (this.#held < headerBytes) return;
        const bytes = this.#joined();
        const length = new DataView(bytes.buffer, bytes.byteOffset, headerBytes).getUint32(0);
        if (length > maxPayloadBytes) throw new FrameError(`a frame of ${length} bytes`);
        this.#wanted = headerBytes + length;
      }
      if (this.#held < this.#wanted) return;
      const bytes = this.#joined();
      const view = new DataView(bytes.buffer, bytes.byteOffset, headerBytes);
      const next: Frame = {
        type: view.getUint8(4),
        call: view.getUint32(5),
        payload: bytes.subarray(headerBytes, this.#wanted),
      };
      this.#parts = [bytes.subarray(this.#wanted)];
      this.#held -= this.#wanted;
      this.#wanted = null;
      yield next;
    }
  }

  #joined(): Uint8Array {
    const [first] = this.#parts;
    if (this.#parts.length === 1 && first !== undefined) return first;
    const bytes = new Uint8Array(this.#held);
    let at = 0;
    for (const part of this.#parts) {
      bytes.set(part, at);
      at += part.length;
    }
    this.#parts = [bytes];
    return bytes;
  }
}
