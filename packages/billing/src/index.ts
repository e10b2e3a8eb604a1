export { checkGate, decideGate, type GateVerdict, openGate } from "./gate.ts";
export { type GateFacts, readGateFacts } from "./gate-facts.ts";
export { getBalance, grantCredits, releaseReservation, reserveForRun, settleUsage } from "./ledger.ts";
export { listLedger } from "./list-ledger.ts";
export { type Plan, plans } from "./plans.ts";
