import type { Duplex, Readable, Writable } from "node:stream";
import type { ConnectOverCDPTransport } from "playwright-core";
import { WebSocket } from "ws";
import { maxMessageBytes } from "./limits.ts";

/** The object in a text; null if it is none. */
const objectIn = (text: string): object | null => {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" ? value : null;
  } catch {
    return null;
  }
};

/**
 * Each message in a turn of the event loop of its own, as the library's own transports do: what it begins with one must have happened before it
 * hears the next, or it loses track of pages that have just opened.
 */
const inTurns = (deliver: (message: object) => void): ((message: object) => void) => {
  const waiting: object[] = [];
  const next = (): void => {
    const message = waiting.shift();
    if (message === undefined) return;
    if (waiting.length > 0) setImmediate(next);
    deliver(message);
  };
  return (message) => {
    waiting.push(message);
    if (waiting.length === 1) setImmediate(next);
  };
};

/** Speaks with a browser at the other end of a byte stream, at the address that it has said. Resolves when both are ready. */
export const webSocketTransport = (stream: Duplex, path: string): Promise<ConnectOverCDPTransport> => {
  // Without compression: a few bytes of a hostile browser would become gigabytes.
  const options = { perMessageDeflate: false, maxPayload: maxMessageBytes, handshakeTimeout: 10_000 };
  const socket = new WebSocket(`ws://127.0.0.1${path}`, { ...options, createConnection: () => stream });
  const transport: ConnectOverCDPTransport = {
    send: (message) => socket.send(JSON.stringify(message)),
    close: () => socket.close(),
  };
  const hear = inTurns((message) => transport.onmessage?.(message));
  socket.on("message", (data, isBinary) => {
    const message = isBinary || !(data instanceof Buffer) ? null : objectIn(data.toString());
    if (message === null) socket.terminate();
    else hear(message);
  });
  socket.on("close", () => transport.onclose?.());
  return new Promise((resolve, reject) => {
    socket.once("open", () => resolve(transport));
    // Also behind the opening, where the close says the rest.
    socket.on("error", reject);
  });
};

/** Speaks with a browser that we have started, over two of its pipes: messages that end with NUL. */
export const pipeTransport = (pipes: { input: Writable; output: Readable }): ConnectOverCDPTransport => {
  const parts: Buffer[] = [];
  let held = 0;
  const close = () => {
    pipes.input.destroy();
    pipes.output.destroy();
  };
  const transport: ConnectOverCDPTransport = {
    send: (message) => void pipes.input.write(`${JSON.stringify(message)}\0`),
    close,
  };
  const hear = inTurns((message) => transport.onmessage?.(message));
  const take = (bytes: Buffer): void => {
    held += bytes.length;
    if (held > maxMessageBytes) return close();
    parts.push(bytes);
  };
  pipes.output.on("data", (chunk: Buffer) => {
    let from = 0;
    for (let end = chunk.indexOf(0); end !== -1; end = chunk.indexOf(0, from)) {
      take(chunk.subarray(from, end));
      from = end + 1;
      const message = objectIn(Buffer.concat(parts.splice(0)).toString());
      held = 0;
      if (message === null) return close();
      hear(message);
    }
    take(chunk.subarray(from));
  });
  pipes.output.on("close", () => transport.onclose?.());
  // A broken pipe is a browser that has ended, and its close says so.
  for (const pipe of [pipes.input, pipes.output]) pipe.on("error", close);
  return transport;
};
