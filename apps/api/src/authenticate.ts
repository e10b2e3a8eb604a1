import { AppError } from "@cortex/contracts";
import type { MiddlewareHandler } from "hono";
import { z } from "zod";
import type { ApiContext } from "./request-context.ts";
import type { VerifyToken } from "./tokens/verify-token.ts";

/** Exactly one scheme, one blank, one token: everything that looks almost like it is somebody trying. */
const bearer = /^Bearer ([\w-]+\.[\w-]+\.[\w-]+)$/;

const AccountHeader = z.uuid().toLowerCase();

/**
 * Lets through whoever brings a valid access token and notes who it is. Whether `X-Account-Id` is an account of the caller is not asked here:
 * the transaction of the route acts for it and sees nothing if it is not, so a start costs no extra query.
 * Errors: `unauthenticated`, `validation_failed` (the account is no uuid), `unavailable`
 */
export const authenticate =
  (verifyToken: VerifyToken): MiddlewareHandler<ApiContext> =>
  async (c, next) => {
    const token = bearer.exec(c.req.header("authorization") ?? "")?.[1];
    if (token === undefined) throw new AppError("unauthenticated", "Not authenticated.");
    const identity = await verifyToken(token);
    c.set("caller", { ...identity, accountId: accountIn(c.req.header("x-account-id")) });
    await next();
  };

const accountIn = (header: string | undefined): string | null => {
  if (header === undefined) return null;
  const account = AccountHeader.safeParse(header);
  if (account.success) return account.data;
  throw new AppError("validation_failed", "X-Account-Id must be the id of an account.", {
    errors: [{ pointer: "/headers/x-account-id", detail: "must be a uuid" }],
  });
};
