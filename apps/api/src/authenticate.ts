import { AppError } from "@cortex/contracts";
import type { MiddlewareHandler } from "hono";
import { matchedRoutes } from "hono/route";
import { z } from "zod";
import type { ApiContext, ApiRequest, RequestCaller } from "./request-context.ts";
import type { StreamTickets } from "./tokens/stream-ticket.ts";
import type { VerifyToken } from "./tokens/verify-token.ts";

/** Exactly one scheme, one blank, one token: everything that looks almost like it is somebody trying. */
const bearer = /^Bearer ([\w-]+\.[\w-]+\.[\w-]+)$/;

const AccountHeader = z.uuid().toLowerCase();

const refused = () => new AppError("unauthenticated", "Not authenticated.");

/**
 * Lets through whoever brings a valid access token, or for a run's stream a ticket, and notes who it is. Whether `X-Account-Id` is an account of
 * the caller is not asked here: the transaction of the route acts for it and sees nothing if it is not, so a start costs no extra query.
 * Errors: `unauthenticated`, `validation_failed` (the account is no uuid), `unavailable`
 */
export const authenticate =
  (deps: { verifyToken: VerifyToken; tickets: StreamTickets }): MiddlewareHandler<ApiContext> =>
  async (c, next) => {
    const header = c.req.header("authorization");
    // A header is the caller's word; only without one is the address looked at, where a ticket may still stand from an earlier page.
    c.set(
      "caller",
      header === undefined ? await holderOf(c, deps.tickets) : await bearerOf(c, header, deps.verifyToken),
    );
    await next();
  };

const bearerOf = async (c: ApiRequest, header: string, verifyToken: VerifyToken): Promise<RequestCaller> => {
  const token = bearer.exec(header)?.[1];
  if (token === undefined) throw refused();
  const identity = await verifyToken(token);
  return { ...identity, accountId: accountIn(c.req.header("x-account-id")) };
};

/** The holder of the ticket in the address, if this is the stream of the run that it was made for. It brings its account with it. */
const holderOf = async (c: ApiRequest, tickets: StreamTickets): Promise<RequestCaller> => {
  const given = c.req.queries("ticket") ?? [];
  const [ticket] = given;
  if (ticket === undefined || given.length > 1 || !isStream(c)) throw refused();
  const { userId, accountId, runId, expiresAt } = await tickets.verify(ticket);
  if (c.req.path.split("/").at(-2)?.toLowerCase() !== runId) throw refused();
  return { userId, accountId, expiresAt, email: null };
};

/** By any of its names. */
const isStream = (c: ApiRequest): boolean =>
  matchedRoutes(c).some(({ method, path }) => method === "GET" && path.endsWith("/:agent_run_id/stream"));

const accountIn = (header: string | undefined): string | null => {
  if (header === undefined) return null;
  const account = AccountHeader.safeParse(header);
  if (account.success) return account.data;
  throw new AppError("validation_failed", "X-Account-Id must be the id of an account.", {
    errors: [{ pointer: "/headers/x-account-id", detail: "must be a uuid" }],
  });
};
