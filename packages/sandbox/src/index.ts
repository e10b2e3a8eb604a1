export { openSandboxLazily } from "./lifecycle/open-sandbox.ts";
export * from "./port/index.ts";
export { probeSandbox } from "./probe.ts";
