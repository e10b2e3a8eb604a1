export {
  type Consumer,
  type ConsumerOptions,
  createConsumer,
  type JobAbortReason,
  type RunHandler,
} from "./consumer.ts";
export type { JobVerdict, RunDelivery } from "./jobs.ts";
export { createProducer, type Producer } from "./producer.ts";
