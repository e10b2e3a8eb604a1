import type { OpenBrowser } from "@cortex/browser";
import { createLogWriter, FencedError as LogFenced } from "@cortex/events";
import { failpoint } from "@cortex/failpoints";
import type { JobVerdict } from "@cortex/queue";
import {
  abandon,
  type ClaimedRun,
  claimRun,
  createOutlast,
  createRecorder,
  type EngineOutcome,
  type EngineWait,
  ensureLog,
  eventIdentity,
  FencedError,
  handOver,
  type Lease,
  LeaseEnded,
  leaseLeftMs,
  openLog,
  readRunInput,
  type Recorder,
  type RunInput,
} from "@cortex/runs";
import type { WorkerServices } from "../services.ts";
import { driveEngine } from "./drive-engine.ts";

/**
 * One delivery of a run: claim it, execute it, end it. Postgres decides whether it is ours; whatever the queue believes, a run that is held
 * or has ended is left alone.
 * @param signal of the queue: aborts when the worker shuts down. That the queue gives the job to somebody else meanwhile is none of its business
 */
export const executeRun = async (
  services: WorkerServices,
  job: { runId: string },
  signal: AbortSignal,
): Promise<JobVerdict> => {
  const { db, leases, log } = services;
  const claimedAt = performance.now();
  // The lease of a claim may be as old as its first try.
  const outlast = createOutlast({ log }, { until: () => claimedAt + services.settings.giveUpAfterMs });
  const claim = { runId: job.runId, workerId: services.workerId, claimId: crypto.randomUUID() };
  const run = await outlast(() => claimRun(db, { ...claim, settings: services.settings }));
  if (!run) {
    const leftMs = await outlast(() => leaseLeftMs(db, job));
    return leftMs === null ? { kind: "done" } : { kind: "delay", untilMs: Date.now() + leftMs + 100 };
  }
  const lease = leases.hold({ runId: run.id, attempt: run.attempt, claimedAt });
  // Its worker died before it could hear the stop.
  if (run.stop_requested_at) lease.end("stopped");
  const stopListening = services.control.watch(run.id);
  const queueSays = () => lease.end("shutdown");
  signal.addEventListener("abort", queueSays, { once: true });
  if (signal.aborted) queueSays();
  const runLog = log.child({
    run_id: run.id,
    attempt: run.attempt,
    request_id: run.request_id,
    account_id: run.account_id,
  });
  try {
    return await attempt({ ...services, log: runLog }, run, lease);
  } catch (error) {
    if (error instanceof FencedError || error instanceof LogFenced) {
      runLog.info({ reason: error.message }, "superseded; let go");
      return { kind: "done" };
    }
    // A fault of ours or of the database. The lease ends at once, so that the sweeper delivers the run again; the cap on attempts without
    // progress bounds how often.
    runLog.error({ err: error }, "the attempt broke off");
    await abandon({ db, outlast: lease.outlast }, { runId: run.id, attempt: run.attempt }).catch((failure: unknown) =>
      runLog.warn({ err: failure }, "the lease of the broken attempt has to run out by itself"),
    );
    return { kind: "done" };
  } finally {
    signal.removeEventListener("abort", queueSays);
    stopListening();
    lease.release();
  }
};

/** Where the log stands. Without Redis an attempt begins all the same: what it does is stored in Postgres, and the log is brought up later. */
const placeInLog = async (services: WorkerServices, run: ClaimedRun, { outlast }: Lease) => {
  try {
    const { epoch, length } = await outlast(() => openLog({ db: services.db, log: services.eventLog }, run));
    return { epoch, length };
  } catch (error) {
    if (error instanceof FencedError) throw error;
    services.log.warn({ err: error }, "the live log cannot be opened now");
    return { behind: true } as const;
  }
};

/** An attempt from its claim to the end of the run, or to where it lets go. */
const attempt = async (services: WorkerServices, run: ClaimedRun, lease: Lease): Promise<JobVerdict> => {
  const { db, eventLog, log } = services;
  const { outlast } = lease;
  const [place, input] = await Promise.all([placeInLog(services, run, lease), outlast(() => readRunInput(db, run))]);
  const scope = { userId: null, accountId: run.account_id };
  const writer = createLogWriter(
    {
      log: eventLog,
      recover: (seen) => outlast(() => ensureLog({ db, log: eventLog }, { runId: run.id, scope, as: "writer", seen })),
      identity: eventIdentity,
      logger: log,
    },
    { runId: run.id, attempt: run.attempt, ...place },
  );
  const recorder = createRecorder(
    { db, sink: writer, outlast },
    { run, nextSeq: input.nextSeq, firstStep: input.firstStep, resumed: input.left?.open ?? null },
  );
  const startedAt = performance.now();
  try {
    const verdict = await untilItEnds(services, run, lease, input, recorder);
    const facts = { verdict: verdict?.kind ?? null, duration_ms: Math.round(performance.now() - startedAt) };
    if (verdict === null) log.warn(facts, "the lease was lost; let go, another worker goes on");
    else log.info(facts, "attempt over");
    return verdict ?? { kind: "done" };
  } finally {
    await writer.close();
  }
};

/** The engine with a browser that ends with this attempt, whichever way that ends. */
const untilItEnds = async (
  services: WorkerServices,
  run: ClaimedRun,
  lease: Lease,
  first: RunInput,
  recorder: Recorder,
): Promise<JobVerdict | null> => {
  const project = { accountId: run.account_id, projectId: run.project_id };
  const browser = services.browsers.forRun(services.openSandbox(project, lease.outlast));
  try {
    return await inRounds(services, run, lease, first, recorder, browser && (() => Promise.resolve(browser)));
  } finally {
    services.browsers.leave(browser);
  }
};

/** Null: the run is somebody else's by now. */
const inRounds = async (
  services: WorkerServices,
  run: ClaimedRun,
  lease: Lease,
  first: RunInput,
  recorder: Recorder,
  openBrowser: OpenBrowser | null,
): Promise<JobVerdict | null> => {
  for (let input = first; ; input = await lease.outlast(() => readRunInput(services.db, run))) {
    const driven = await driveEngine(services, run, lease, input, recorder, openBrowser);
    if (driven.kind === "aborted") {
      const reason = lease.signal.reason instanceof LeaseEnded ? lease.signal.reason.reason : "lost";
      if (reason === "lost") return null;
      if (reason === "shutdown") {
        const notBegun = driven.unfinished.filter((call) => !call.started).map((call) => call.tool_call_id);
        await handOver(
          { db: services.db, outlast: lease.outlast },
          { runId: run.id, accountId: run.account_id, attempt: run.attempt, notBegun },
        );
        return { kind: "handBack" };
      }
    }
    const outcome = driven.kind === "waiting" ? await parkOrEnd(services, run, recorder, driven) : driven;
    if (outcome === null) return { kind: "done" };
    const finished = await recorder.finish(outcome);
    if (finished.kind === "ended") {
      await failpoint("final.after_close");
      if (finished.cursor !== null) services.leases.noteClosed(run.id, finished.cursor);
      return { kind: "done" };
    }
  }
};

/** Lets the run wait without this worker: null. Or, if it must not wait, with what it ends. */
const parkOrEnd = async (
  services: WorkerServices,
  run: ClaimedRun,
  recorder: Recorder,
  wait: EngineWait,
): Promise<EngineOutcome | null> => {
  const parked = await recorder.park(wait, services.settings);
  if (parked.kind === "ends") return parked.outcome;
  if (parked.logged) services.leases.noteWaiting({ runId: run.id, attempt: run.attempt });
  services.log.info({ reason: wait.reason, until: parked.until }, "run waits");
  return null;
};
