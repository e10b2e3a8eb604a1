import type { Caller } from "./http/call.ts";
import type { Connection } from "./http/connection.ts";
import { type ClientTiming, defaultTiming } from "./http/timing.ts";
import { accountRoutes } from "./routes/account.ts";
import { agentRoutes } from "./routes/agents.ts";
import { mcpServerRoutes } from "./routes/mcp-servers.ts";
import { projectRoutes } from "./routes/projects.ts";
import { runRoutes } from "./routes/runs.ts";
import { sandboxRoutes } from "./routes/sandboxes.ts";
import { threadRoutes } from "./routes/threads.ts";
import { toolRoutes } from "./routes/tools.ts";
import { type FollowOptions, followRun } from "./stream/follow-run.ts";
import { watchRun } from "./view/watch-run.ts";

export interface ClientOptions {
  /** Where the API is, without `/api`: `http://127.0.0.1:8000`. Empty in a page of the same origin. */
  baseUrl: string;
  /**
   * The access token, or where to get it. A function is asked before every request and every connection of a stream, so it should answer from
   * memory and renew in time. If it fails, so does the call; if it throws a `ConnectionError`, the call is retried and a stream goes on.
   */
  token: string | (() => Promise<string> | string);
  /** Instead of the global one. */
  fetch?: typeof globalThis.fetch | undefined;
  /** The account to act for; without it the personal account. */
  accountId?: string | null | undefined;
  /** Makes the keys under which creating calls are repeated. Null: no keys and no repeats, unless a call brings its own. */
  idempotencyKeys?: (() => string) | null | undefined;
  /** For unusual networks, and tests. */
  timing?: Partial<ClientTiming> | undefined;
}

/**
 * A client of the public API. Holds no connection and needs no closing; runs in Node 20 and in browsers.
 *
 * Every method answers with an object of the contract or throws an `ApiError`, a `ConnectionError` or an `UnexpectedAnswerError`
 * (`failures.ts`). Reads are retried; creating calls are, too, under an idempotency key that is made for them, so that a retry never
 * creates twice.
 */
export const createClient = (options: ClientOptions) => {
  const { token } = options;
  const connection: Connection = {
    baseUrl: options.baseUrl.replace(/\/+$/, ""),
    token: typeof token === "string" ? () => token : token,
    // Called through its owner: a browser's fetch refuses any other `this`.
    fetch: options.fetch ?? ((input, init) => globalThis.fetch(input, init)),
    accountId: options.accountId ?? null,
  };
  const caller: Caller = {
    connection,
    timing: { ...defaultTiming, ...options.timing },
    newIdempotencyKey: options.idempotencyKeys === undefined ? randomKey : options.idempotencyKeys,
    random: Math.random,
  };
  return {
    ...accountRoutes(caller),
    ...projectRoutes(caller),
    ...threadRoutes(caller),
    ...runRoutes(caller),
    ...agentRoutes(caller),
    ...toolRoutes(caller),
    ...mcpServerRoutes(caller),
    ...sandboxRoutes(caller),
    /** The events of a run, each once and in order, until its end; broken connections are opened again. See `followRun`. */
    followRun: (runId: string, follow?: FollowOptions) => followRun(caller, runId, follow),
    /** The same, with the view of the run after each event. Starts from nothing, so it takes no `after`. */
    watchRun: (runId: string, follow?: Omit<FollowOptions, "after">) => watchRun(followRun(caller, runId, follow)),
  };
};

export type Client = ReturnType<typeof createClient>;

/** 128 random bits. `crypto.randomUUID` is missing on pages without TLS. */
const randomKey = (): string =>
  Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
