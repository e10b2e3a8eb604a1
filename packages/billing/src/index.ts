export { checkGate, openGate } from "./gate.ts";
export { getBalance, releaseReservation, reserveForRun, settleUsage } from "./ledger.ts";
export { listLedger } from "./list-ledger.ts";
