import { AppError } from "@cortex/contracts";
import { asUser } from "@cortex/db";
import { silentLogger } from "@cortex/observability";
import { aGrant, aThread, aUser } from "@cortex/testing";
import { admitRuns } from "../admission.ts";
import { claimRun } from "../claim-run.ts";
import { decideApproval } from "../decide-approval.ts";
import { deleteRun } from "../delete-run.ts";
import { openLog } from "../ensure-log.ts";
import { announceWorker, heartbeat } from "../fleet.ts";
import { abandon, handOver } from "../hand-over.ts";
import { createRecorder } from "../recorder.ts";
import { type Delivery, FencedError } from "../run.ts";
import { readRunInput } from "../run-input.ts";
import { defaultRunSettings } from "../settings.ts";
import { startRun } from "../start-run.ts";
import { stopRun } from "../stop-run.ts";
import { sweepRuns } from "../sweep-runs.ts";
import { type PlayedAttempt, playAttempt } from "./played-attempt.ts";
import { createRecoveringSink } from "./recovering-sink.ts";
import { createRunFixture, startInput, untried } from "./run-fixture.ts";

/** No lease ends by itself here, however slow the machine; what a sweep may find it finds at once. */
export const worldSettings = {
  ...defaultRunSettings,
  leaseMs: 600_000,
  unclaimedMs: -1,
  orphanGraceMs: -1,
  unclosedLogMs: -1,
  maxAttemptsWithoutProgress: 3,
};

export interface WorldPlace {
  userId: string;
  accountId: string;
  threadId: string;
}

export interface WorldRun {
  runId: string;
  place: WorldPlace;
}

/** Everything that can happen to runs, on a real database, with a queue and a log in memory. One world, emptied for each story. */
export const createRunWorld = async () => {
  const fixture = await createRunFixture();
  const { database, api, worker, log } = fixture;
  const { owner } = database;
  await owner.query(
    "insert into cortex.plans (id, name, reserve_usd, max_parallel_runs, max_active_runs) values ('two', 'Two', 0.05, 2, 3)",
  );
  const places: WorldPlace[] = [];
  for (const planId of ["local", "two"]) {
    const user = await aUser(owner, { planId });
    for (let n = 0; n < 4; n++) places.push({ ...user, ...(await aThread(owner, { accountId: user.accountId })) });
  }

  const queue = new Set<string>();
  const job = ({ runId, delivery }: Delivery) => `${runId}-${delivery}`;
  const deliver = (delivery: Delivery) => void queue.add(job(delivery));
  let runs: WorldRun[] = [];
  let attempts: PlayedAttempt[] = [];
  const stopping = new Set<string>();

  const reset = async (): Promise<void> => {
    await owner.query(
      `delete from cortex.agent_runs; delete from cortex.messages; delete from cortex.ledger_entries;
       delete from cortex.account_balances; delete from cortex.workers; update cortex.threads set next_seq = 0`,
    );
    const limited = places.at(-1);
    if (limited) await aGrant(owner, { accountId: limited.accountId, usd: "100" });
    log.flush();
    queue.clear();
    stopping.clear();
    [runs, attempts] = [[], []];
  };

  const setFleet = async (concurrency: number): Promise<void> => {
    await announceWorker(worker.db, {
      workerId: "w",
      concurrency: Math.max(1, concurrency),
      draining: concurrency === 0,
    });
    await owner.query("update cortex.workers set heartbeat_at = now() + interval '1 hour'");
  };

  const start = async (place: WorldPlace): Promise<{ runId: string } | { code: string }> => {
    try {
      const started = await startRun({ ...fixture.deps(), deliver }, startInput(place));
      runs.push({ runId: started.agent_run_id, place });
      return { runId: started.agent_run_id };
    } catch (error) {
      if (error instanceof AppError) return { code: error.code };
      throw error;
    }
  };

  const claim = async (runId: string): Promise<"claimed" | "refused" | "fenced"> => {
    const run = await claimRun(worker.db, { runId, workerId: "w", settings: worldSettings });
    if (!run) return "refused";
    for (const each of [...queue]) if (each.startsWith(runId)) queue.delete(each);
    try {
      const opened = await openLog({ db: worker.db, log }, run);
      const input = await readRunInput(worker.db, run);
      const recorder = createRecorder(
        { db: worker.db, sink: createRecoveringSink({ db: worker.db, log }, { run, opened }), outlast: untried },
        { run, nextSeq: input.nextSeq, firstStep: input.firstStep, resumed: input.left?.open ?? null },
      );
      attempts.push(playAttempt({ runId, attempt: run.attempt, recorder, input }));
      return "claimed";
    } catch (error) {
      if (error instanceof FencedError) return "fenced";
      throw error;
    }
  };

  const stop = (run: WorldRun) => {
    stopping.add(run.runId);
    return stopRun(
      { db: api.db, announceStop: () => undefined, closeLog: () => undefined },
      { runId: run.runId, userId: run.place.userId, accountId: null },
    );
  };

  const sweep = () =>
    sweepRuns(
      {
        db: worker.db,
        log: silentLogger(),
        deliver,
        jobState: async (delivery) => (queue.has(job(delivery)) ? "waiting" : "absent"),
        eventLog: log,
      },
      worldSettings,
    );

  const remove = async (run: WorldRun): Promise<"deleted" | "run_active"> => {
    const caller = { userId: run.place.userId, accountId: null };
    try {
      await asUser(api.db, caller, (tx) => deleteRun(tx, run));
      runs = runs.filter((each) => each !== run);
      attempts = attempts.filter((attempt) => attempt.runId !== run.runId);
      return "deleted";
    } catch (error) {
      if (error instanceof AppError && error.code === "run_active") return error.code;
      throw error;
    }
  };

  /** Approves whatever is open; says how many decisions were taken, and what the others were told. */
  const decide = async (run: WorldRun): Promise<{ decided: number; refused: string[] }> => {
    const { rows } = await owner.query<{ call_id: string; digest: string }>(
      "select call_id, digest from cortex.tool_approvals where run_id = $1 and decision is null",
      [run.runId],
    );
    const caller = { runId: run.runId, userId: run.place.userId, accountId: null };
    const refused: string[] = [];
    let decided = 0;
    for (const { call_id: callId, digest } of rows) {
      try {
        const body = { decision: "approve", digest } as const;
        const deps = { db: api.db, checkArguments: () => null, admitSoon: () => undefined };
        if (await decideApproval(deps, { ...caller, callId, body })) decided += 1;
      } catch (error) {
        if (!(error instanceof AppError)) throw error;
        refused.push(error.code);
      }
    }
    return { decided, refused };
  };

  const hands = { db: worker.db, outlast: untried };
  const letGo = async (attempt: PlayedAttempt, how: "hand over" | "abandon"): Promise<void> => {
    attempts = attempts.filter((each) => each !== attempt);
    const place = runs.find(({ runId }) => runId === attempt.runId)?.place;
    if (how === "abandon" || !place) return abandon(hands, attempt);
    await handOver(hands, { ...attempt, accountId: place.accountId, notBegun: attempt.notBegun() });
  };

  /** The fleet has its worker already: a beat changes no slots. */
  const beat = async () => {
    const held = await heartbeat(worker.db, {
      workerId: "w",
      concurrency: 1,
      leaseMs: worldSettings.leaseMs,
      runs: attempts,
      closed: [],
      waiting: [],
    });
    await owner.query("update cortex.workers set heartbeat_at = now() + interval '1 hour'");
    return held.held;
  };

  return {
    ...fixture,
    places,
    get runs() {
      return runs;
    },
    get attempts() {
      return attempts;
    },
    dropAttempt: (attempt: PlayedAttempt) => {
      attempts = attempts.filter((each) => each !== attempt);
    },
    reset,
    setFleet,
    start,
    claim,
    stop,
    decide,
    sweep,
    remove,
    letGo,
    beat,
    admit: (batch: number) => admitRuns({ db: worker.db, deliver }, { batch }),
    loseQueue: () => queue.clear(),
    /** All waits are over, and nobody has seen it yet. */
    endWaits: () =>
      owner.query(
        "update cortex.agent_runs set resume_at = now() - interval '1 second' where status = 'waiting' and resume_at is not null",
      ),
    /** Has somebody asked for the end of this run? */
    isStopping: (runId: string) => stopping.has(runId),
    /** Is a delivery of this run in the queue? */
    isQueued: (runId: string) => [...queue].some((each) => each.startsWith(runId)),
    loseLease: (runId: string) =>
      owner.query(
        "update cortex.agent_runs set lease_until = now() - interval '1 minute' where id = $1 and status = 'running'",
        [runId],
      ),
  };
};

export type RunWorld = Awaited<ReturnType<typeof createRunWorld>>;
