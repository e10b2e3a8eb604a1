export * from "./port/index.ts";
export { type ProbedSandboxes, probeSandbox, type SandboxSettings } from "./probe.ts";
