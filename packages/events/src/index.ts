export { type ControlListener, createControlListener, publishStop } from "./control.ts";
export { readDurability } from "./durability.ts";
export { createEventLog, type EventLog } from "./event-log.ts";
export { FencedError } from "./fenced-error.ts";
export { follow, type RunFrame } from "./follow.ts";
export { createLogWriter } from "./log-writer.ts";
export { connectRedis } from "./redis-connection.ts";
export { createSubscriber } from "./subscriber.ts";
export { createTails, type Tails } from "./tails.ts";
