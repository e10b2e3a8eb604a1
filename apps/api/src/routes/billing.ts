import { checkGate, getBalance, listLedger } from "@cortex/billing";
import { Balance, BillingStatus, LedgerEntry, ListQuery, page } from "@cortex/contracts";
import { asUser } from "@cortex/db";
import { createRoute } from "@hono/zod-openapi";
import { actingAccount } from "../acting-account.ts";
import type { Api } from "../request-context.ts";
import { json, problems, secured } from "../route-parts.ts";
import type { ApiServices } from "../services.ts";

const common = { tags: ["billing"], security: secured };

const status = createRoute({
  ...common,
  method: "get",
  path: "/billing/check-status",
  operationId: "checkBillingStatus",
  summary: "May this account start a run now, and if not, why: the same rule as the start itself",
  responses: { 200: json(BillingStatus, "The verdict"), ...problems("not_found") },
});

const balance = createRoute({
  ...common,
  method: "get",
  path: "/billing/balance",
  operationId: "getBalance",
  summary: "What the account has left to spend",
  responses: { 200: json(Balance, "The balance"), ...problems("not_found") },
});

const ledger = createRoute({
  ...common,
  method: "get",
  path: "/billing/ledger",
  operationId: "listLedger",
  summary: "The movements of the account's credits, newest first",
  request: { query: ListQuery },
  responses: { 200: json(page(LedgerEntry), "A page of movements"), ...problems("not_found", "invalid_cursor") },
});

export const registerBilling = (api: Api, { db }: ApiServices): void => {
  api.openapi(status, async (c) => {
    const caller = c.get("caller");
    const verdict = await asUser(db, caller, async (tx) => checkGate(tx, await actingAccount(tx, caller)));
    return c.json(verdict, 200);
  });

  api.openapi(balance, async (c) => {
    const caller = c.get("caller");
    const usd = await asUser(db, caller, async (tx) => getBalance(tx, await actingAccount(tx, caller)));
    return c.json({ balance_usd: usd }, 200);
  });

  api.openapi(ledger, async (c) => {
    const caller = c.get("caller");
    const query = c.req.valid("query");
    const entries = await asUser(db, caller, async (tx) => {
      const { accountId } = await actingAccount(tx, caller);
      return listLedger(tx, { accountId, ...query });
    });
    return c.json(entries, 200);
  });
};
