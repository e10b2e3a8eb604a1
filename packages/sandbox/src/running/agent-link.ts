import { once } from "node:events";
import type { Readable, Writable } from "node:stream";
import {
  creditFrame,
  dataFrame,
  emptyFrame,
  type Frame,
  FrameReader,
  FrameType,
  jsonFrame,
  maxDataBytes,
  readCredit,
  readData,
  readJson,
  windowBytes,
} from "../agent/frames.ts";
import { SendWindow } from "../agent/window.ts";
import { isSandboxErrorReason, SandboxError } from "../port/errors.ts";
import { parseAnswer, WireFailure } from "./wire.ts";

export interface CallOptions {
  /** Sent with the call, as fast as the agent takes it. */
  body?: AsyncIterable<Uint8Array> | null;
  /** Called in order, one at a time; while its promise is pending, the agent is held back. */
  onData?: (channel: number, data: Uint8Array) => void | Promise<void>;
  /** When the call is not answered by then, the agent is taken for dead. */
  deadlineMs?: number | null;
  signal?: AbortSignal | undefined;
  /** Called if the call was cancelled while it ran, before it throws: with what the agent answered to that, or that it had to be stopped. */
  onCancelled?: (end: { answer: unknown } | "stopped") => void;
}

interface OpenCall {
  window: SendWindow;
  onData: (channel: number, data: Uint8Array) => Promise<void>;
  /** What arrived and was not dealt with yet. More than the window is a breach. */
  unacknowledged: number;
  /** The calls of `onData`, one after the other. */
  delivered: Promise<void>;
  settle: { resolve: (value: unknown) => void; reject: (error: unknown) => void };
}

export interface LinkOptions {
  /** How long an agent may take to answer a cancelled call before it is taken for dead. */
  cancelGraceMs: number;
  /**
   * While calls are open the agent is asked every third of this time whether it is there, and taken for dead if it is silent for this
   * long. Null for an agent that may rightly be busy.
   */
  livenessMs: number | null;
}

const ignored = (): void => undefined;

/**
 * The host's end of the wire to one agent. It never trusts the agent: an impossible frame, more data than was allowed, or silence
 * breaks the link, and breaking it is reported to whoever can kill the process.
 */
export class AgentLink {
  /** Settles when the agent says that it listens; rejects when the link breaks before. */
  readonly ready: Promise<void>;
  /** Resolves with the reason once the link is broken; from then on every call fails. */
  readonly broken: Promise<SandboxError>;

  readonly #output: Writable;
  readonly #options: LinkOptions;
  readonly #calls = new Map<number, OpenCall>();
  #nextCall = 1;
  #failure: SandboxError | null = null;
  #lastHeardAt = performance.now();
  #drain: Promise<void> | null = null;
  #heartbeat: NodeJS.Timeout | null = null;
  readonly #announceReady = Promise.withResolvers<void>();
  readonly #announceBroken = Promise.withResolvers<SandboxError>();

  constructor(streams: { input: Readable; output: Writable }, options: LinkOptions) {
    this.#output = streams.output;
    this.#options = options;
    this.ready = this.#announceReady.promise;
    this.broken = this.#announceBroken.promise;
    this.ready.catch(ignored);
    const reader = new FrameReader();
    streams.input.on("data", (chunk: Buffer) => {
      this.#lastHeardAt = performance.now();
      try {
        for (const frame of reader.push(chunk)) this.#receive(frame);
      } catch (error) {
        this.break(new SandboxError("sandbox_stopped", "The sandbox answered nonsense.", { cause: error }));
      }
    });
    const closed = () => this.break(new SandboxError("sandbox_stopped", "The sandbox stopped."));
    streams.input.on("error", closed).on("close", closed);
    streams.output.on("error", closed);
  }

  /** Ends the link: every open call fails with this error. The first reason counts. */
  break(error: SandboxError): void {
    if (this.#failure !== null) return;
    this.#failure = error;
    if (this.#heartbeat !== null) clearInterval(this.#heartbeat);
    for (const call of this.#calls.values()) {
      call.window.close();
      call.settle.reject(error);
    }
    this.#calls.clear();
    this.#announceReady.reject(error);
    this.#announceBroken.resolve(error);
  }

  /**
   * Has the agent do something.
   * @returns its answer, not yet checked
   * @throws SandboxError what the agent says, or `sandbox_stopped`; the signal's reason; whatever `onData` or the body throws
   */
  async call(op: string, args: unknown, options: CallOptions = {}): Promise<unknown> {
    options.signal?.throwIfAborted();
    if (this.#failure !== null) throw this.#failure;
    const id = this.#nextCall++;
    const answer = Promise.withResolvers<unknown>();
    const window = new SendWindow();

    // The agent is given a moment to stop what it does; the caller hears why it was stopped, not what the agent says to it.
    const stop: { reason: unknown; asked: boolean; grace: NodeJS.Timeout | null } = {
      reason: null,
      asked: false,
      grace: null,
    };
    const stopBecause = (reason: unknown): void => {
      if (stop.asked) return;
      stop.asked = true;
      stop.reason = reason;
      window.close();
      this.#send(emptyFrame(FrameType.cancel, id));
      stop.grace = setTimeout(() => this.#presumeDead("did not stop a command"), this.#options.cancelGraceMs);
    };
    const onAbort = () => stopBecause(options.signal?.reason);
    const onData = async (channel: number, data: Uint8Array): Promise<void> => {
      try {
        if (!stop.asked) await options.onData?.(channel, data);
      } catch (error) {
        stopBecause(error);
      }
    };

    const call: OpenCall = { window, onData, unacknowledged: 0, delivered: Promise.resolve(), settle: answer };
    this.#calls.set(id, call);
    this.#watch();
    options.signal?.addEventListener("abort", onAbort, { once: true });
    const { deadlineMs = null } = options;
    const deadline =
      deadlineMs === null ? null : setTimeout(() => this.#presumeDead("did not answer in time"), deadlineMs);
    try {
      this.#send(jsonFrame(FrameType.request, id, { op, args }));
      if (options.body != null) this.#sendBody(id, window, options.body).catch(stopBecause);
      const value = await answer.promise;
      await call.delivered;
      if (!stop.asked) return value;
      options.onCancelled?.({ answer: value });
      throw stop.reason;
    } catch (error) {
      await call.delivered;
      if (stop.asked && this.#failure !== null) options.onCancelled?.("stopped");
      throw stop.asked ? stop.reason : error;
    } finally {
      this.#calls.delete(id);
      options.signal?.removeEventListener("abort", onAbort);
      if (deadline !== null) clearTimeout(deadline);
      if (stop.grace !== null) clearTimeout(stop.grace);
      window.close();
    }
  }

  #send(bytes: Uint8Array): boolean {
    return this.#failure === null && this.#output.writable ? this.#output.write(bytes) : true;
  }

  async #sendBody(id: number, window: SendWindow, body: AsyncIterable<Uint8Array>): Promise<void> {
    for await (const chunk of body) {
      for (let at = 0; at < chunk.length;) {
        const count = await window.take(Math.min(chunk.length - at, maxDataBytes));
        // The call is over; returning closes the body.
        if (count === 0) return;
        // The window is the agent's word; the pipe's own fill level is not.
        if (!this.#send(dataFrame(id, 0, chunk.subarray(at, at + count)))) await this.#drained();
        at += count;
      }
    }
    this.#send(emptyFrame(FrameType.end, id));
  }

  /** Resolves when the pipe has taken what it was given, or is broken. All calls wait on one listener. */
  #drained(): Promise<void> {
    this.#drain ??= Promise.race([once(this.#output, "drain"), this.broken]).then(() => {
      this.#drain = null;
    });
    return this.#drain;
  }

  #receive(frame: Frame): void {
    if (frame.type === FrameType.ready) return this.#announceReady.resolve();
    const call = this.#calls.get(frame.call);
    // An answer to a call that was given up, or a pong.
    if (call === undefined) return;
    switch (frame.type) {
      case FrameType.response:
        return call.settle.resolve(readJson(frame.payload));
      case FrameType.failure: {
        const { reason, message } = parseAnswer(WireFailure, readJson(frame.payload));
        const known = isSandboxErrorReason(reason) ? reason : "invalid_argument";
        return call.settle.reject(new SandboxError(known, message));
      }
      case FrameType.credit:
        return call.window.give(readCredit(frame.payload));
      case FrameType.data:
        return this.#deliver(frame.call, call, frame.payload);
      default:
        throw new TypeError(`unexpected frame of type ${frame.type}`);
    }
  }

  #deliver(id: number, call: OpenCall, payload: Uint8Array): void {
    const { channel, data } = readData(payload);
    call.unacknowledged += data.length;
    if (call.unacknowledged > windowBytes) throw new TypeError("more data than was allowed");
    // Copied: the payload is a view on the reader's buffer.
    const bytes = new Uint8Array(data);
    call.delivered = call.delivered.then(async () => {
      await call.onData(channel, bytes);
      call.unacknowledged -= bytes.length;
      this.#send(creditFrame(id, bytes.length));
    });
  }

  #presumeDead(what: string): void {
    this.break(new SandboxError("sandbox_stopped", `The sandbox ${what} and was stopped.`));
  }

  /** While calls are open, asks the agent whether it is there. A command can stop the agent (SIGSTOP) or starve it. */
  #watch(): void {
    const { livenessMs } = this.#options;
    if (livenessMs === null || this.#heartbeat !== null) return;
    this.#lastHeardAt = performance.now();
    this.#heartbeat = setInterval(() => {
      if (this.#calls.size === 0) {
        if (this.#heartbeat !== null) clearInterval(this.#heartbeat);
        this.#heartbeat = null;
      } else if (performance.now() - this.#lastHeardAt > livenessMs) {
        this.#presumeDead("stopped answering");
      } else {
        this.#send(emptyFrame(FrameType.ping, 0));
      }
    }, livenessMs / 3);
    this.#heartbeat.unref();
  }
}
