import type { SafeFetch } from "@cortex/egress";
import type { Logger } from "@cortex/observability";
import type { McpAnswer } from "./call-result.ts";
import type { McpListing } from "./listing.ts";
import { McpError } from "./mcp-error.ts";
import { connectServer, type McpAddress, type ServerConnection } from "./server-connection.ts";

/** Servers of strangers, their tools and what they answer. */
export interface McpSource {
  /** What the server offers now. @throws McpError */
  list(address: McpAddress, signal: AbortSignal): Promise<McpListing>;
  /**
   * Calls a tool, if the server still declares it as it was accepted.
   * @throws McpError
   */
  call(address: McpAddress, call: McpCall, signal: AbortSignal): Promise<McpAnswer>;
  close(): Promise<void>;
}

export interface McpCall {
  /** As the server names it. */
  name: string;
  /** Of the declaration that was accepted. */
  hash: string;
  args: Record<string, unknown>;
  timeoutMs: number;
}

/** How long what a server has listed is taken for true. A server that changes its tools is caught by then at the latest. */
const listingMs = 60_000;
/** A connection that nobody used for so long is closed. Above `listingMs`. */
const idleMs = 5 * 60_000;
const maxConnections = 200;
/** Longest call. */
const longestCallMs = 10 * 60_000;

interface Held {
  connection: Promise<ServerConnection>;
  listing: { promise: Promise<McpListing>; atMs: number } | null;
  usedMs: number;
  /** Callers who wait for something on it. */
  users: number;
}

/** Keeps one connection for each server in use, shared by all runs of this process, and asks each for its tools now and then. */
export const createMcpSource = (
  deps: { fetch: SafeFetch; log: Logger },
  clock: { now: () => number } = Date,
): McpSource => {
  const held = new Map<string, Held>();
  const closing = new AbortController();
  const keyOf = (address: McpAddress) => `${address.id} ${address.revision}`;

  const closeUnused = (entry: Held): void => {
    if (entry.users === 0) entry.connection.then((connection) => connection.close()).catch(() => undefined);
  };
  /** Nobody gets this connection any more. It is closed when its last caller has gone: a call in flight that is broken off is never made again. */
  const drop = (key: string, entry: Held): void => {
    // Others may have opened the next one meanwhile.
    if (held.get(key) !== entry) return;
    held.delete(key);
    closeUnused(entry);
  };
  const sweep = setInterval(() => {
    for (const [key, entry] of held) if (entry.users === 0 && clock.now() - entry.usedMs > idleMs) drop(key, entry);
  }, idleMs);
  sweep.unref();

  /** Connecting belongs to all who wait for it, so no single caller's abort ends it; its own time limit does. */
  const obtain = (address: McpAddress): Held => {
    const key = keyOf(address);
    const found = held.get(key);
    if (found) {
      found.usedMs = clock.now();
      return found;
    }
    const oldest = held.size < maxConnections ? null : [...held].toSorted(([, a], [, b]) => a.usedMs - b.usedMs)[0];
    if (oldest) drop(...oldest);
    const connection = connectServer(deps, address, { callMs: longestCallMs }, closing.signal);
    const entry: Held = { connection, listing: null, usedMs: clock.now(), users: 0 };
    held.set(key, entry);
    connection.catch(() => {
      if (held.get(key) === entry) held.delete(key);
    });
    return entry;
  };

  const untilAborted = async <Result>(work: Promise<Result>, signal: AbortSignal): Promise<Result> => {
    signal.throwIfAborted();
    const aborted = Promise.withResolvers<never>();
    const abort = () => aborted.reject(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    try {
      return await Promise.race([work, aborted.promise]);
    } finally {
      signal.removeEventListener("abort", abort);
    }
  };

  const listed = (entry: Held): Promise<McpListing> => {
    const { listing } = entry;
    if (listing && clock.now() - listing.atMs < listingMs) return listing.promise;
    const promise = entry.connection.then((connection) => connection.list(closing.signal));
    const fresh = { promise, atMs: clock.now() };
    entry.listing = fresh;
    promise.catch(() => {
      if (entry.listing === fresh) entry.listing = null;
    });
    return promise;
  };

  const checked = async (
    entry: Held,
    address: McpAddress,
    call: McpCall,
    signal: AbortSignal,
  ): Promise<ServerConnection> => {
    const { tools } = await untilAborted(listed(entry), signal);
    const now = tools.find((tool) => tool.name === call.name);
    if (now?.hash !== call.hash) {
      deps.log.warn(
        { server_id: address.id, tool: call.name, gone: now === undefined },
        "an MCP server changed a tool",
      );
      const what = now === undefined ? "no longer has this tool" : "has changed this tool since it was accepted";
      throw new McpError(
        "changed",
        `The MCP server "${address.name}" ${what}, so it is not called. Whoever manages the account can look at the change and accept it.`,
        { mayHaveActed: false },
      );
    }
    return untilAborted(entry.connection, signal);
  };

  const using = async <Result>(address: McpAddress, work: (entry: Held) => Promise<Result>): Promise<Result> => {
    const key = keyOf(address);
    const entry = obtain(address);
    entry.users += 1;
    try {
      return await work(entry);
    } catch (error) {
      if (error instanceof McpError && error.code !== "changed") drop(key, entry);
      throw error;
    } finally {
      entry.users -= 1;
      if (held.get(key) !== entry) closeUnused(entry);
    }
  };

  /** Once more on a new connection, if the server has forgotten the session: then it has done nothing. */
  const again: typeof using = async (address, work) => {
    try {
      return await using(address, work);
    } catch (error) {
      if (!(error instanceof McpError) || !error.sessionLost) throw error;
      return using(address, work);
    }
  };

  return {
    list: (address, signal) =>
      again(address, (entry) => {
        entry.listing = null;
        return untilAborted(listed(entry), signal);
      }),
    call: (address, call, signal) =>
      again(address, async (entry) => (await checked(entry, address, call, signal)).call(call, signal)),
    close: async () => {
      clearInterval(sweep);
      closing.abort(new Error("this process is closing"));
      const open = [...held.values()].map(({ connection }) => connection.then((each) => each.close()));
      held.clear();
      await Promise.allSettled(open);
    },
  };
};
