export { armFaults, failpoint, isSwitchedOff, type RecordedHit } from "./failpoint.ts";
export { type ArmedFailpoint, type FaultAction, type FaultPlan, FaultPlanError, planFaults } from "./fault-plan.ts";
export type { Failpoint, Mechanism } from "./names.ts";
