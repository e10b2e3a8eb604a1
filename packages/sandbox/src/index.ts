export { ensureSandbox, type EnsuredSandbox, type LifecycleDeps } from "./lifecycle/ensure-sandbox.ts";
export { openSandboxLazily } from "./lifecycle/open-sandbox.ts";
export type { SandboxScope } from "./lifecycle/sandbox-rows.ts";
export * from "./port/index.ts";
export { type ProbedSandboxes, probeSandbox, type SandboxSettings } from "./probe.ts";
