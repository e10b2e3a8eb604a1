import { armFaults, planFaults } from "@cortex/failpoints";
import { createLifetime, createLogger, runUntilSignal } from "@cortex/observability";
import { createConsumer } from "@cortex/queue";
import { announceWorker } from "@cortex/runs";
import { envOrExit } from "./env.ts";
import { serveHealth } from "./health.ts";
import { executeRun } from "./jobs/execute-run.ts";
import { keepHouse } from "./jobs/keep-house.ts";
import { openServices } from "./services.ts";

const env = envOrExit();
armFaults(planFaults(env));
const log = createLogger({ name: "worker", level: env.LOG_LEVEL });
const lifetime = createLifetime({ log, timeoutMs: env.SHUTDOWN_TIMEOUT_MS });
runUntilSignal(lifetime, log);

const services = await openServices(env, { log, lifetime });
const { db, workerId } = services;
const concurrency = env.WORKER_CONCURRENCY;

const house = keepHouse(services);
lifetime.opened("house", () => house.close());

const consumer = createConsumer(
  {
    redisUrl: env.REDIS_URL,
    prefix: env.QUEUE_PREFIX,
    concurrency,
    workerId,
    log,
    lock: { lockMs: env.QUEUE_LOCK_MS, stalledMs: env.QUEUE_STALLED_MS },
  },
  async (job, context) => {
    const verdict = await executeRun(services, job, context.signal);
    if (verdict.kind === "done") house.placeFree();
    return verdict;
  },
);
lifetime.opened("consumer", async () => {
  // First no new runs, then let go of the ones that are held: each goes back to the queue at its last durable step.
  await announceWorker(db, { workerId, concurrency, draining: true });
  await consumer.close();
});

const health = await serveHealth({ port: env.WORKER_HEALTH_PORT, services });
lifetime.opened("health", () => health.close());
await announceWorker(db, { workerId, concurrency, draining: false });
log.info({ worker_id: workerId, concurrency, health_port: health.port, tools: services.tools.length }, "worker ready");
