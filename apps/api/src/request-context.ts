import type { OpenAPIHono } from "@hono/zod-openapi";
import type { HttpBindings } from "@hono/node-server";
import type { Context } from "hono";
import type { Identity } from "./tokens/verify-token.ts";

/** Who calls and which account the call names: fits the `Caller` of accounts and the scope of a transaction. */
export interface RequestCaller extends Identity {
  /** From `X-Account-Id`; null: the personal account. Whether it is the caller's is decided by the database. */
  accountId: string | null;
}

/** What a handler may find in its context. */
export interface ApiContext {
  Bindings: HttpBindings;
  Variables: {
    requestId: string;
    /** Set by `authenticate`; only routes behind it may read it. */
    caller: RequestCaller;
    /** The body as it came, for routes that have one: what an idempotency key is bound to. */
    body: Buffer;
  };
}

export type Api = OpenAPIHono<ApiContext>;
export type ApiRequest = Context<ApiContext>;
