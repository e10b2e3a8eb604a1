import { connect as connectTcp, isIP, isIPv6, type LookupFunction, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { EgressError } from "./egress-error.ts";
import type { Destination, Guard } from "./guard.ts";

/** Opens a connection to one of these addresses, whichever answers first. */
export type Dial = (addresses: readonly string[], port: number, signal: AbortSignal) => Promise<Socket>;

export interface Line {
  guard: Guard;
  dial: Dial;
}

export interface ConnectInput {
  destination: Destination;
  secure: boolean;
  /** For the name, the connection and the handshake together. */
  connectMs: number;
  signal: AbortSignal;
}

/** A name that cannot be resolved, so that nobody but us can have said where it leads. */
const nobody = "checked.invalid";

const opened = (socket: Socket, event: "connect" | "secureConnect", signal: AbortSignal): Promise<Socket> =>
  new Promise((resolve, reject) => {
    const give = () => socket.destroy();
    signal.addEventListener("abort", give, { once: true });
    const settled = () => signal.removeEventListener("abort", give);
    socket.once(event, () => {
      settled();
      socket.off("error", failed);
      socket.off("close", closed);
      resolve(socket);
    });
    const failed = (error: Error) => {
      settled();
      // What else it says on its way out has nobody to hear it.
      socket.on("error", () => undefined);
      reject(error);
    };
    const closed = () => failed(new Error("the connection was closed before it was open"));
    socket.once("error", failed);
    socket.once("close", closed);
    if (signal.aborted) give();
  });

/** The addresses are given to the socket as the answer of its name service: there is no second look-up, and the families race as usual. */
export const dialTcp: Dial = (addresses, port, signal) => {
  const lookup: LookupFunction = (_name, options, done) => {
    const found = addresses.map((address) => ({ address, family: isIPv6(address) ? 6 : 4 }));
    const [first] = found;
    if (first === undefined) done(new Error("no address"), "", 4);
    else if (options.all === true) done(null, found);
    else done(null, first.address, first.family);
  };
  return opened(connectTcp({ host: nobody, port, lookup, autoSelectFamily: true }), "connect", signal);
};

const isTlsFailure = (error: unknown): boolean =>
  error instanceof Error &&
  "code" in error &&
  typeof error.code === "string" &&
  /TLS|SSL|CERT|SIGNATURE/.test(error.code);

/**
 * Connects to an address that the guard has just allowed.
 * @throws EgressError; the reason of `signal` if that is what ended it
 */
export const connect = async (
  line: Line,
  { destination, secure, connectMs, signal }: ConnectInput,
): Promise<Socket> => {
  const { host, port } = destination;
  const limit = new AbortController();
  const timer = setTimeout(() => limit.abort(), connectMs);
  const either = AbortSignal.any([signal, limit.signal]);
  let plain: Socket | null = null;
  try {
    const ended = new Promise<never>((_, reject) => {
      const end = () => reject(new Error("given up"));
      if (either.aborted) end();
      else either.addEventListener("abort", end, { once: true });
    });
    ended.catch(() => undefined);
    // A name service cannot be interrupted; it is left behind.
    const addresses = await Promise.race([line.guard.addressesOf(destination), ended]);
    plain = await line.dial(addresses, port, either);
    if (!secure) return plain;
    const servername = isIP(host) === 0 ? host.replace(/\.$/, "") : "";
    return await opened(
      connectTls({ socket: plain, servername, host, ALPNProtocols: ["http/1.1"] }),
      "secureConnect",
      either,
    );
  } catch (error) {
    plain?.destroy();
    signal.throwIfAborted();
    if (limit.signal.aborted) throw new EgressError("timeout", `${host} did not answer in time.`, { cause: error });
    if (error instanceof EgressError) throw error;
    if (secure && isTlsFailure(error))
      throw new EgressError("tls", `No secure connection to ${host} could be made: its certificate is not trusted.`, {
        cause: error,
      });
    throw new EgressError("unreachable", `${host} could not be reached.`, { cause: error });
  } finally {
    clearTimeout(timer);
  }
};
