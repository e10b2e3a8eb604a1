export { createTestDatabase, type TestDatabase } from "./database.ts";
export { eventually } from "./eventually.ts";
export { createFaultProxy, type Fault, type FaultProxy } from "./fault-proxy.ts";
export { createTestFolder } from "./folder.ts";
export { quietPort } from "./quiet-port.ts";
export { refusalOf } from "./refusal.ts";
export { createTestSandboxes } from "./sandboxes.ts";
export { createTestRedis, type OwnRedis, type TestRedis } from "./redis.ts";
export {
  aGrant,
  aMember,
  aMessage,
  anAgent,
  anAccount,
  aProject,
  aRun,
  aThread,
  aUser,
  aWorker,
  type TestRun,
  type TestThread,
  type TestUser,
} from "./factories.ts";
export { startDemoModel } from "@cortex/local-stack/demo-model";
export { buildTemplate, urlOf } from "./template.ts";
export { startMcpServer, type TestMcpServer } from "./mcp-server.ts";
export { type CollectedSpan, startTraceCollector, type TraceCollector } from "./trace-collector.ts";
