export { checkGate, openGate } from "./gate.ts";
export { getBalance, grantCredits, releaseReservation, reserveForRun, settleUsage } from "./ledger.ts";
export { listLedger } from "./list-ledger.ts";
export { type Plan, plans } from "./plans.ts";
