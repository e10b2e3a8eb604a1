import { purgeIdempotencyKeys } from "@cortex/accounts";
import { asFleet } from "@cortex/db";
import { admitRuns, sweepRuns } from "@cortex/runs";
import type { WorkerServices } from "../services.ts";
import { repeat } from "./repeat.ts";
import { createTraceSender } from "./send-traces.ts";

/** Idempotency keys are kept for days; that some are kept for minutes longer harms nobody. */
const purgeMs = 10 * 60_000;
const purgeBatch = 5_000;

/** A trace is looked at by people, minutes later. */
const tracesMs = 2_000;

/** How many waiting runs one call admits. */
const admissionBatch = 100;

export interface House {
  /** A place has become free: see at once who may have it. */
  placeFree(): void;
  close(): Promise<void>;
}

/**
 * What every worker does beside executing runs: it admits waiting ones and sweeps up after others. Any number of workers may; Postgres keeps
 * them from doing it twice.
 */
export const keepHouse = (services: WorkerServices): House => {
  let admitting: Promise<void> | null = null;
  let again = false;
  let closing = false;
  const admit = async (): Promise<void> => {
    do {
      again = false;
      await admitRuns({ db: services.db, deliver: services.deliver }, { batch: admissionBatch });
    } while (again);
  };
  /** One admission at a time in this process; a wish that comes meanwhile is granted by one more round. */
  const placeFree = (): void => {
    if (admitting) {
      again = true;
      return;
    }
    admitting = admit()
      .catch((error: unknown) => services.log.warn({ err: error }, "could not admit runs"))
      .finally(() => {
        admitting = null;
      });
  };
  const { settings } = services;
  const admission = repeat(services, "admission", settings.heartbeatMs, async () => {
    placeFree();
    await admitting;
  });
  const sweep = repeat(services, "sweep", settings.sweepMs, async () => {
    const swept = await sweepRuns(services, settings);
    if (swept && Object.values(swept).some((count) => count > 0)) services.log.info(swept, "swept");
  });
  const purge = repeat(services, "purge", purgeMs, () =>
    asFleet(services.db, (tx) => purgeIdempotencyKeys(tx, { batch: purgeBatch })),
  );
  const sender = createTraceSender({ db: services.db, log: services.log, targets: services.traceTargets });
  const traces = repeat(services, "traces", tracesMs, async () => {
    while ((await sender.sendDue()) > 0 && !closing);
  });
  const oldTraces = repeat(services, "old traces", purgeMs, sender.dropOld);
  return {
    placeFree,
    close: async () => {
      closing = true;
      await Promise.all([admission, sweep, purge, traces, oldTraces].map((task) => task.close()));
      await admitting;
    },
  };
};
