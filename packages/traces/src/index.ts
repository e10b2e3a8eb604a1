export { openTraceTargets, type TraceSettings, type TraceTarget } from "./trace-target.ts";
export type { TracedRun } from "./traced-run.ts";
