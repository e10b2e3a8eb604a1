import type { UnplacedEvent } from "@cortex/contracts";
import { type Db, inScope, type Scope } from "@cortex/db";
import { sql } from "kysely";
import { durableEvents, eventIdentity, workedAttempts } from "./durable-events.ts";
import { readRunFacts } from "./run-facts.ts";
import { FencedError, type RunRow } from "./run.ts";

/** Where a live log stands. */
export interface LogState {
  epoch: number;
  length: number;
  attempt: number;
  closed: boolean;
}

/** What this room needs of the live log; packages/events fits. */
export interface LogPort {
  /** Creates the log of that epoch unless one of the same or a later epoch exists; says what is there afterwards. */
  open(input: {
    runId: string;
    attempt: number;
    epoch: number;
    events: readonly UnplacedEvent[];
  }): Promise<LogState & { created: boolean }>;
  /** The raw entries and the state; null if there is no log. */
  read(input: {
    runId: string;
    from: number;
    limit: number;
  }): Promise<(LogState & { entries: readonly string[] }) | null>;
  /** Compare-and-append: `lost` if the log is not as expected, `fenced` if a later attempt has written, `closed` after its end. */
  append(input: {
    runId: string;
    attempt: number;
    epoch: number;
    length: number;
    events: readonly UnplacedEvent[];
  }): Promise<LogState & { status: "appended" | "fenced" | "closed" | "lost" }>;
}

export interface EnsureLogInput {
  runId: string;
  /** Who asks: a follower's user, or the account of the run. */
  scope: Scope;
  /**
   * `writer`: the holder of the fence (an attempt, or whoever ended the run) brings the log up to what Postgres holds. `reader`: a follower
   * who found no log creates it, and leaves an existing one alone.
   */
  as: "writer" | "reader";
}

/** A claimed run's worker creates its log within this time; until then a follower waits instead of declaring the log lost. */
const justClaimedMs = 3_000;

/**
 * Makes the live log contain every durable event of the run: creates a log that never was, rebuilds a lost one under the next epoch
 * (entry 0 is then `resync`), and, as the writer, appends what a dead attempt committed but did not get out.
 *
 * @returns where the log stands, or null if there is no such run, or (reader) if its worker is about to create the log: ask again
 */
export const ensureLog = async (deps: { db: Db; log: LogPort }, input: EnsureLogInput): Promise<LogState | null> => {
  const { db, log } = deps;
  const { runId } = input;
  for (;;) {
    const present = await log.read({ runId, from: 0, limit: input.as === "writer" ? Number.MAX_SAFE_INTEGER : 1 });
    if (present && input.as === "reader") return present;

    const facts = await readRunFacts(db, input);
    if (!facts) return null;
    const { run } = facts;
    const wanted = durableEvents(facts);

    if (!present) {
      // Before the first claim nothing but `run.queued` can have been there: creating it again is no loss. After the claim the worker
      // creates it at once. Only later does a missing log mean a lost one.
      const justClaimed =
        run.status === "running" && run.attempt === 1 && Date.now() - (run.claimed_at?.getTime() ?? 0) < justClaimedMs;
      if (justClaimed && input.as === "reader") return null;
      const epoch =
        workedAttempts(run) === 0
          ? run.log_epoch
          : await raiseEpoch(db, { runId, epoch: run.log_epoch, scope: input.scope });
      const at = new Date().toISOString();
      const resync: UnplacedEvent[] =
        epoch > 1 ? [{ type: "resync", run_id: run.id as UnplacedEvent["run_id"], at, attempt: run.attempt }] : [];
      const opened = await log.open({ runId, attempt: run.attempt, epoch, events: [...resync, ...wanted] });
      if (opened.created || input.as === "reader") return opened;
      continue;
    }

    if (present.closed || present.attempt > run.attempt) return present;
    const there = new Set(present.entries.map((entry) => eventIdentity(JSON.parse(entry) as UnplacedEvent)));
    const missing = wanted.filter((event) => !there.has(eventIdentity(event)));
    if (missing.length === 0 && present.attempt === run.attempt) return present;
    const appended = await log.append({
      runId,
      attempt: run.attempt,
      epoch: present.epoch,
      length: present.length,
      events: missing,
    });
    if (appended.status !== "lost") return appended;
  }
};

/**
 * The log at the start of an attempt. Of a first attempt it is created with what the claim says, in one call and without reading Postgres;
 * otherwise it is brought up to what earlier attempts committed.
 */
export const openLog = async (deps: { db: Db; log: LogPort }, run: RunRow): Promise<LogState> => {
  if (run.attempt === 1) {
    const events = durableEvents({ run, messages: [], steps: [], toolCalls: [] });
    const opened = await deps.log.open({ runId: run.id, attempt: run.attempt, epoch: run.log_epoch, events });
    if (opened.created) return opened;
  }
  const ensured = await ensureLog(deps, {
    runId: run.id,
    scope: { userId: null, accountId: run.account_id },
    as: "writer",
  });
  if (!ensured || ensured.attempt > run.attempt || ensured.closed) throw new FencedError(run.id, run.attempt);
  return ensured;
};

/** The next epoch of a run's log, by compare-and-set: of several who saw the same loss one raises it, the others get that number. */
const raiseEpoch = async (db: Db, input: { runId: string; epoch: number; scope: Scope }): Promise<number> => {
  await inScope(db, input.scope, (tx) =>
    sql`select cortex.raise_log_epoch(${input.runId}, ${input.epoch})`.execute(tx),
  );
  return input.epoch + 1;
};
