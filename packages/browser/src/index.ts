export * from "./port.ts";
export { createRunBrowser, type RunBrowser } from "./run-browser.ts";
export type { Launch } from "./launched.ts";
export { sandboxBrowser } from "./sandbox-browser.ts";
export { workerBrowser, type WorkerBrowserSettings } from "./worker-browser.ts";
