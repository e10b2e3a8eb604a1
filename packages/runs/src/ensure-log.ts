import { setTimeout as pause } from "node:timers/promises";
import { isTerminalEvent, type UnplacedEvent } from "@cortex/contracts";
import { type Db, inScope, type Scope, type Tx } from "@cortex/db";
import { failpoint } from "@cortex/failpoints";
import { sql } from "kysely";
import { durableEvents, eventIdentity, type RunFacts, workedAttempts } from "./durable-events.ts";
import { FencedError, type RunRow } from "./run.ts";
import { runFacts } from "./run-facts.ts";
import { discarded, voidPreviews } from "./void-previews.ts";

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
   * who found no log creates it, and leaves an existing one alone. `sweeper`: brings up the log of a run that waits, and of no other, because
   * whoever holds such a run writes its log.
   */
  as: "writer" | "reader" | "sweeper";
  /**
   * The log as far as the caller knows it. One of that epoch that is shorter now, or of an earlier one, has lost its end (a Redis that was
   * restored from an older state): what was shown from there must never be said again in other words, so it is lost as a whole.
   */
  seen?: { epoch: number; length: number } | null;
}

interface Deps {
  db: Db;
  log: LogPort;
}

/** A run's worker creates its log within this time; until then a follower waits instead of creating it, or declaring it lost. */
const justClaimedMs = 3_000;

/** Whoever has raised the epoch needs about a millisecond to make the list. */
const soonMs = 20;

/** A whole log, however long: only a writer that lost its place reads it. */
const wholeLog = 1_000_000;

/**
 * Makes the live log contain every durable event of the run: creates a log that never was, rebuilds a lost one under the next epoch
 * (entry 0 is then `resync`), and, as the writer, appends what a dead attempt committed but did not get out.
 *
 * @returns where the log stands, or null if there is no such run, or (reader) if its worker is about to create the log: ask again
 */
export const ensureLog = async (deps: Deps, input: EnsureLogInput): Promise<LogState | null> => {
  for (;;) {
    const present = await deps.log.read({ runId: input.runId, from: 0, limit: input.as === "reader" ? 0 : wholeLog });
    if (!present || isCutShort(present, input)) {
      const created = await createLog(deps, input);
      if (created === "soon") await pause(soonMs);
      else if (created !== "present") return created;
      continue;
    }
    if (input.as === "reader" || present.closed) return present;
    const facts = await inScope(deps.db, input.scope, (tx) => runFacts(tx, input));
    if (!facts) return null;
    const { run } = facts;
    if (present.attempt > run.attempt) return present;
    if (input.as === "sweeper" && run.status !== "waiting") return present;
    // A Postgres that has lost its last commits. An epoch that is not written down would be given to another log after the next loss.
    if (present.epoch > run.log_epoch)
      await inScope(deps.db, input.scope, (tx) => raiseEpoch(tx, run.id, present.epoch - 1));
    const events = missingEvents(
      present.entries.map((entry) => JSON.parse(entry) as UnplacedEvent),
      facts,
    );
    const { epoch, length } = present;
    const appended = await deps.log.append({ runId: input.runId, attempt: run.attempt, epoch, length, events });
    if (appended.status !== "lost") return appended;
  }
};

/** What Postgres holds and the log does not; before the end of a run, also that pieces of messages which came to nothing are void. */
const missingEvents = (present: readonly UnplacedEvent[], facts: RunFacts): UnplacedEvent[] => {
  const there = new Set(present.map(eventIdentity));
  const missing = durableEvents(facts).filter((event) => !there.has(eventIdentity(event)));
  const last = missing.at(-1);
  if (!last || !isTerminalEvent(last)) return missing;
  const { run_id, at, attempt } = last;
  const taken = voidPreviews([...present, ...missing]).map((id) => ({ run_id, at, attempt, ...discarded(id) }));
  return [...missing.slice(0, -1), ...taken, last];
};

const isCutShort = (present: LogState, { seen }: EnsureLogInput): boolean =>
  seen !== undefined &&
  seen !== null &&
  (present.epoch < seen.epoch || (present.epoch === seen.epoch && present.length < seen.length));

/** Of all who see the same loss one rebuilds: whoever holds this lock of the run. The number only keeps our locks apart from others'. */
const rebuildLock = 7_262_020;

const lockRebuild = async (tx: Tx, runId: string): Promise<void> => {
  await sql`select pg_advisory_xact_lock(${rebuildLock}, hashtext(${runId}))`.execute(tx);
};

/**
 * Creates a log that is not there. `present`: somebody else was quicker; `soon`: somebody else is about to.
 *
 * The raised epoch is committed before the list is made, and only whoever raised it makes the list of that number. A process that dies in
 * between leaves a number without a list, which harms nobody; the other way round the next rebuild would make a second list under the same
 * number, and whoever follows with a cursor of the first would be told the wrong rest.
 */
const createLog = async (deps: Deps, input: EnsureLogInput): Promise<LogState | "present" | "soon" | null> => {
  const mine = await inScope(deps.db, input.scope, async (tx) => {
    if (input.as === "reader" && (await isAboutToBeCreated(tx, input.runId))) return null;
    await lockRebuild(tx, input.runId);
    const facts = await runFacts(tx, input);
    if (!facts) return null;
    // Looked at again under the lock; a Redis call inside a transaction, in a path that is taken when a log is lost.
    const present = await deps.log.read({ runId: input.runId, from: 0, limit: 0 });
    if (present && !isCutShort(present, input)) return "present";
    const { run } = facts;
    // Before the first claim nothing but `run.queued` can have been there: creating it again is no loss.
    if (workedAttempts(run) === 0 && !present) return { facts, epoch: run.log_epoch };
    return (await raiseEpoch(tx, run.id, run.log_epoch)) ? { facts, epoch: run.log_epoch + 1 } : "soon";
  });
  if (mine === null || mine === "present" || mine === "soon") return mine;
  const { facts, epoch } = mine;
  if (epoch > facts.run.log_epoch) await failpoint("log.rebuild");
  return deps.log.open({
    runId: input.runId,
    attempt: facts.run.attempt,
    epoch,
    events: [...resync(epoch, facts.run), ...durableEvents(facts)],
  });
};

/** False: somebody has just done so. */
const raiseEpoch = async (tx: Tx, runId: string, lostEpoch: number): Promise<boolean> => {
  const found = await sql<{ raised: boolean }>`select cortex.raise_log_epoch(${runId}, ${lostEpoch}) as raised`.execute(
    tx,
  );
  return found.rows[0]?.raised === true;
};

/** Admitted or claimed just now: whoever executes the run creates its log at once, and a follower hears of that. */
const isAboutToBeCreated = async (tx: Tx, runId: string): Promise<boolean> => {
  const found = await sql<{ soon: boolean }>`
    select (status = 'queued' and admitted_at > clock_timestamp() - ${justClaimedMs} * interval '1 millisecond')
      or (status = 'running' and attempt = 1 and claimed_at > clock_timestamp() - ${justClaimedMs} * interval '1 millisecond') as soon
    from cortex.agent_runs where id = ${runId}`.execute(tx);
  return found.rows[0]?.soon === true;
};

const resync = (epoch: number, run: RunRow): UnplacedEvent[] =>
  epoch === 1
    ? []
    : [
        {
          type: "resync",
          run_id: run.id as UnplacedEvent["run_id"],
          at: new Date().toISOString(),
          attempt: workedAttempts(run),
        },
      ];

/**
 * The log at the start of an attempt. Of a first attempt it is created with what the claim says, in one call and without reading Postgres;
 * otherwise it is brought up to what earlier attempts committed.
 */
export const openLog = async (deps: Deps, run: RunRow): Promise<LogState> => {
  if (run.attempt === 1) {
    const events = durableEvents({
      run,
      messages: [],
      steps: [],
      toolCalls: [],
      waits: [],
      approvals: [],
      summaries: [],
    });
    const opened = await deps.log.open({ runId: run.id, attempt: run.attempt, epoch: run.log_epoch, events });
    if (opened.created) return opened;
  }
  const scope = { userId: null, accountId: run.account_id };
  const ensured = await ensureLog(deps, { runId: run.id, scope, as: "writer" });
  if (!ensured || ensured.attempt > run.attempt || ensured.closed) throw new FencedError(run.id, run.attempt);
  return ensured;
};
