export { type DemoModel, type DemoModelLogEntry, type DemoModelOptions, startDemoModel } from "./demo-model.ts";
export type { RecordedRequest } from "./recorded-requests.ts";
