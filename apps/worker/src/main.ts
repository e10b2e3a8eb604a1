import { readDurability } from "@cortex/db";
import { armFaults, planFaults } from "@cortex/failpoints";
import { createLifetime, createLogger, runUntilSignal, watchEventLoop } from "@cortex/observability";
import { createConsumer } from "@cortex/queue";
import { announceWorker } from "@cortex/runs";
import { envOrExit } from "./env.ts";
import { serveHealth } from "./health.ts";
import { executeRun } from "./jobs/execute-run.ts";
import { keepHouse } from "./jobs/keep-house.ts";
import { keysOf } from "./keys-of-env.ts";
import { watchLiveness } from "./liveness.ts";
import { untilItSucceeds } from "./until-it-succeeds.ts";
import { openServices } from "./services.ts";

const env = envOrExit();
const faults = planFaults(env);
armFaults(faults);
const log = createLogger({ name: "worker", level: env.LOG_LEVEL, secrets: keysOf(env) });
if (faults)
  log.warn({ failpoints: env.FAILPOINTS, off: env.MECHANISMS_OFF }, "faults are armed: this process breaks on purpose");
const lifetime = createLifetime({ log, timeoutMs: env.SHUTDOWN_TIMEOUT_MS });
const ending = runUntilSignal(lifetime, log);

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
  // No new runs, and let go of the ones that are held: each goes back to the queue at its last durable step. Without Postgres, too.
  const announced = announceWorker(db, { workerId, concurrency, draining: true }).catch((error: unknown) =>
    log.warn({ err: error }, "nobody could be told that this worker goes"),
  );
  await Promise.all([announced, consumer.close()]);
});

// Longer than a lease: by then the runs of a process that does not work are somebody else's.
const wedgedMs = 2 * env.RUN_LEASE_MS;
const eventLoop = watchEventLoop({ log }, { limitMs: wedgedMs });
lifetime.opened("event loop", () => eventLoop.close());
const liveness = watchLiveness(
  {
    lastBeat: services.leases.lastBeat,
    askPostgres: () => readDurability(db),
    consumer: consumer.state,
    waiting: services.waitingJobs,
    onWedged: ending.giveUp,
  },
  { concurrency, limitMs: wedgedMs, everyMs: wedgedMs / 6 },
);
lifetime.opened("liveness", () => liveness.close());
const health = await serveHealth(
  {
    workerId,
    held: services.leases.held,
    lastBeat: services.leases.lastBeat,
    consumer: consumer.state,
    wedged: liveness.wedged,
  },
  { port: env.WORKER_HEALTH_PORT, leaseMs: env.RUN_LEASE_MS },
);
lifetime.opened("health", () => health.close());

// Postgres and Redis may come after us.
log.info({ worker_id: workerId, health_port: health.port }, "worker up");
await untilItSucceeds({ log, what: "announcing this worker" }, () =>
  announceWorker(db, { workerId, concurrency, draining: false }),
);
await consumer.ready();
log.info({ worker_id: workerId, concurrency, tools: services.tools.length }, "worker ready");
