import { getMe } from "@cortex/accounts";
import { AppError, Me } from "@cortex/contracts";
import { createRoute } from "@hono/zod-openapi";
import type { Api } from "../request-context.ts";
import { json, problems, secured } from "../route-parts.ts";
import type { ApiServices } from "../services.ts";

const me = createRoute({
  method: "get",
  path: "/me",
  operationId: "getMe",
  tags: ["accounts"],
  security: secured,
  summary: "The caller, and every account that the caller may act for",
  responses: { 200: json(Me, "The caller"), ...problems("not_found") },
});

export const registerMe = (api: Api, { db }: ApiServices): void => {
  api.openapi(me, async (c) => {
    const { userId, email, accountId } = c.get("caller");
    const caller = await getMe(db, { userId, email });
    // The token outlived its user.
    if (!caller) throw new AppError("unauthenticated", "Not authenticated.");
    if (accountId !== null && !caller.accounts.some((account) => account.id === accountId)) {
      throw new AppError("not_found", "There is no such account.");
    }
    return c.json(caller, 200);
  });
};
