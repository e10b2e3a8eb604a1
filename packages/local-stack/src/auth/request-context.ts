import type { Http2Bindings, HttpBindings } from "@hono/node-server";
import type { Context } from "hono";
import type { ClientInfo } from "./sessions.ts";

/** Hono's environment of this server: the raw Node request is at hand. */
export interface AuthEnv {
  Bindings: HttpBindings | Http2Bindings;
}

/** Who calls. The address is the peer's own, never a header's: nothing stands between a loopback server and its clients. */
export function clientOf(context: Context<AuthEnv>): ClientInfo {
  return {
    userAgent: context.req.header("user-agent")?.slice(0, 1024) ?? null,
    address: context.env.incoming.socket.remoteAddress ?? null,
  };
}

/** The same address as the key of a rate limit. */
export function addressOf(context: Context<AuthEnv>): string {
  return clientOf(context).address ?? "unknown";
}

/** The token of `Authorization: Bearer …`, or null. */
export function bearerOf(context: Context<AuthEnv>): string | null {
  return /^bearer +(\S+)$/i.exec(context.req.header("authorization") ?? "")?.[1] ?? null;
}
