import { creditFrame, dataFrame, emptyFrame, type Frame, FrameType, jsonFrame } from "./frames.ts";
import { maxDataBytes, readCredit, readData, readJson } from "./frames.ts";
import { OperationError } from "./operation-error.ts";
import { SendWindow } from "./window.ts";

/** What a handler sees of the call it serves. */
export interface Call {
  args: unknown;
  /** Aborted when the host cancels the call. */
  signal: AbortSignal;
  /** Sends bytes, and returns when the host has room for more. */
  send(channel: number, bytes: Uint8Array): Promise<void>;
  /** Is the host slower than we are, right now? */
  heldBack(): boolean;
  /** What the host sends with the call. Taking a chunk makes room for the next. */
  body: AsyncGenerator<Uint8Array, void, undefined>;
}

/** Does one operation and returns its result as JSON. */
export type Handler = (call: Call) => Promise<unknown>;

interface OpenCall {
  window: SendWindow;
  abort: AbortController;
  chunks: Uint8Array[];
  ended: boolean;
  wake: (() => void) | null;
}

async function* bodyOf(call: OpenCall, credit: (bytes: number) => void): AsyncGenerator<Uint8Array, void, undefined> {
  for (;;) {
    const chunk = call.chunks.shift();
    if (chunk !== undefined) {
      yield chunk;
      credit(chunk.length);
      continue;
    }
    if (call.ended || call.abort.signal.aborted) return;
    await new Promise<void>((resolve) => {
      call.wake = resolve;
    });
  }
}

const requestOf = (payload: Uint8Array): { op: string; args: unknown } => {
  const value = readJson(payload);
  if (typeof value !== "object" || value === null || !("op" in value) || typeof value.op !== "string") {
    throw new OperationError("invalid_argument", "malformed request");
  }
  return { op: value.op, args: "args" in value ? value.args : null };
};

const failureOf = (error: unknown): { reason: string; message: string } =>
  error instanceof OperationError
    ? { reason: error.reason, message: error.message }
    : { reason: "invalid_argument", message: error instanceof Error ? error.message : String(error) };

/**
 * Serves calls: any number at once, each with its own flow control, each answered exactly once.
 * @param deps.write puts bytes on the wire
 * @returns what to do with each frame that arrives
 */
export const serveCalls = (deps: {
  handlers: Readonly<Record<string, Handler>>;
  write: (bytes: Uint8Array) => void;
}): ((frame: Frame) => void) => {
  const open = new Map<number, OpenCall>();

  const serve = async (id: number, call: OpenCall, payload: Uint8Array): Promise<void> => {
    const body = bodyOf(call, (bytes) => deps.write(creditFrame(id, bytes)));
    try {
      const { op, args } = requestOf(payload);
      const handler = Object.hasOwn(deps.handlers, op) ? deps.handlers[op] : undefined;
      if (handler === undefined) throw new OperationError("invalid_argument", `unknown operation: ${op}`);
      const result = await handler({
        args,
        signal: call.abort.signal,
        body,
        heldBack: () => call.window.full,
        send: async (channel, bytes) => {
          for (let at = 0; at < bytes.length;) {
            const count = await call.window.take(Math.min(bytes.length - at, maxDataBytes));
            if (count === 0) return;
            deps.write(dataFrame(id, channel, bytes.subarray(at, at + count)));
            at += count;
          }
        },
      });
      deps.write(jsonFrame(FrameType.response, id, result ?? null));
    } catch (error) {
      deps.write(jsonFrame(FrameType.failure, id, failureOf(error)));
    } finally {
      call.window.close();
      open.delete(id);
    }
  };

  const wake = (call: OpenCall): void => {
    const { wake } = call;
    call.wake = null;
    wake?.();
  };

  return (frame) => {
    const call = open.get(frame.call);
    switch (frame.type) {
      case FrameType.request: {
        const opened: OpenCall = {
          window: new SendWindow(),
          abort: new AbortController(),
          chunks: [],
          ended: false,
          wake: null,
        };
        open.set(frame.call, opened);
        void serve(frame.call, opened, frame.payload);
        return;
      }
      case FrameType.data:
        if (call === undefined) return;
        // Copied: the payload is a view on a buffer of the reader, and a body may be taken much later.
        call.chunks.push(new Uint8Array(readData(frame.payload).data));
        return wake(call);
      case FrameType.end:
        if (call === undefined) return;
        call.ended = true;
        return wake(call);
      case FrameType.credit:
        return call?.window.give(readCredit(frame.payload));
      case FrameType.cancel:
        if (call === undefined) return;
        call.abort.abort();
        call.window.close();
        return wake(call);
      case FrameType.ping:
        deps.write(emptyFrame(FrameType.pong, 0));
        return;
      default:
    }
  };
};
