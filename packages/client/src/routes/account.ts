import { Balance, BillingStatus, LedgerEntry, Me, ModelInfo, page } from "@cortex/contracts";
import { call, type Caller, type CallOptions } from "../http/call.ts";
import type { PageQuery } from "./input.ts";

const Models = page(ModelInfo);
const Ledger = page(LedgerEntry);

/** The routes about the caller: who it is, what it may use, what it costs. Errors of each: those of `call`. */
export const accountRoutes = (caller: Caller) => ({
  /** The user of the token and every account that they may act for. */
  me: (options?: CallOptions) => call(caller, { method: "GET", path: "/me", answer: Me, kind: "read", options }),
  /** The models that a run can name, all of them. */
  listModels: (options?: CallOptions) =>
    call(caller, { method: "GET", path: "/models", answer: Models, kind: "read", options }),
  /** May the account start a run now, and if not, why: the same rule as the start itself. */
  checkStatus: (options?: CallOptions) =>
    call(caller, { method: "GET", path: "/billing/check-status", answer: BillingStatus, kind: "read", options }),
  /** What is left to spend. */
  getBalance: (options?: CallOptions) =>
    call(caller, { method: "GET", path: "/billing/balance", answer: Balance, kind: "read", options }),
  /** Newest first. */
  listLedger: (query?: PageQuery, options?: CallOptions) =>
    call(caller, {
      method: "GET",
      path: "/billing/ledger",
      query: { ...query },
      answer: Ledger,
      kind: "read",
      options,
    }),
});
