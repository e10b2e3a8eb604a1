export { watchEventLoop } from "./event-loop-watch.ts";
export { createLifetime, type Lifetime, runUntilSignal } from "./lifetime.ts";
export { createLogger, type Logger, type LoggerOptions, silentLogger } from "./logger.ts";
export { createMask, type Mask } from "./mask.ts";
