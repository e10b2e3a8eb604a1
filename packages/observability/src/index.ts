export { createLifetime, type Lifetime, runUntilSignal } from "./lifetime.ts";
export { createLogger, type Logger, type LoggerOptions, silentLogger } from "./logger.ts";
