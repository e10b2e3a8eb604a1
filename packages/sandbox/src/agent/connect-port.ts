import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { Arguments } from "./arguments.ts";
import type { Call, Handler } from "./calls.ts";
import { Channel } from "./frames.ts";
import { errnoOf, OperationError } from "./operation-error.ts";

/** A loopback answers at once; only a server whose queue of unaccepted connections is full keeps silent. */
const acceptMs = 10_000;

/** Servers that were told `localhost` listen on either of them, depending on who resolved it. */
const addresses = ["127.0.0.1", "::1"];

const nothingThere = new Set(["ECONNREFUSED", "EADDRNOTAVAIL", "EAFNOSUPPORT", "ENETUNREACH"]);

const mark = Uint8Array.of(1);

const dial = async (host: string, port: number, signal: AbortSignal): Promise<Socket | null> => {
  const socket = connect({ host, port, allowHalfOpen: true, noDelay: true });
  try {
    await once(socket, "connect", { signal: AbortSignal.any([signal, AbortSignal.timeout(acceptMs)]) });
    return socket;
  } catch (error) {
    socket.destroy();
    if (nothingThere.has(errnoOf(error) ?? "")) return null;
    if (errnoOf(error) === "EMFILE") throw new OperationError("process_limit", "No more files can be opened.");
    throw new OperationError("connection_refused", `The server on port ${port} does not accept connections.`);
  }
};

const dialAny = async (port: number, signal: AbortSignal): Promise<Socket> => {
  for (const host of addresses) {
    const socket = await dial(host, port, signal);
    if (socket !== null) return socket;
  }
  throw new OperationError("connection_refused", `Nothing listens on port ${port} in the sandbox.`);
};

/** Resolves when the server has room for more. */
const written = (socket: Socket, bytes: Uint8Array): Promise<void> =>
  new Promise((resolve, reject) => {
    socket.write(bytes, (error) => (error ? reject(error) : resolve()));
  });

const upload = async (socket: Socket, { body, signal }: Call): Promise<void> => {
  for await (const chunk of body) await written(socket, chunk);
  if (!signal.aborted) socket.end();
};

const download = async (socket: Socket, { send }: Call): Promise<void> => {
  for await (const chunk of socket.iterator({ destroyOnReturn: false })) {
    if (chunk instanceof Uint8Array) await send(Channel.body, chunk);
  }
  await send(Channel.finished, mark);
};

/**
 * A byte stream to a port of this sandbox's loopback, both ways at their own pace. Says `connected` first and `finished` when the server has
 * ended its side; ends when both sides have.
 */
export const connectPort: Handler = async (call) => {
  const { signal } = call;
  const port = new Arguments(call.args).count("port");
  if (port < 1 || port > 65_535) throw new OperationError("invalid_argument", "A port is a number from 1 to 65535.");
  const socket = await dialAny(port, signal);
  const reset = () => socket.resetAndDestroy();
  signal.addEventListener("abort", reset, { once: true });
  if (signal.aborted) reset();
  // What goes wrong is thrown by whoever reads or writes.
  socket.on("error", () => undefined);
  try {
    await call.send(Channel.connected, mark);
    await Promise.all([upload(socket, call), download(socket, call)]);
    return null;
  } catch {
    if (signal.aborted) return null;
    throw new OperationError("connection_reset", `The server on port ${port} broke the connection.`);
  } finally {
    signal.removeEventListener("abort", reset);
    socket.destroy();
  }
};
