export {
  type Consumer,
  type ConsumerOptions,
  type ConsumerState,
  createConsumer,
  type RunHandler,
} from "./consumer.ts";
export type { JobVerdict, RunDelivery } from "./jobs.ts";
export { createProducer, type Producer } from "./producer.ts";
