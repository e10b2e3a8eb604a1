import { worldSettings, type WorldPlace } from "./run-world.ts";
import type { RunControl } from "./run-checks.ts";

interface ModelRun extends RunControl {
  accountId: string;
  threadId: string;
  /** Its wait is over; the next admission puts it in line. */
  due: boolean;
  /** It waits for people, and no time ends that. */
  asks: boolean;
}

/** What the plan `two` of the world allows; `local` allows everything. */
const limits = { parallel: 2, active: 3 };

/** The statuses of runs as they are meant to move: what each act has to answer, and what has to be in the tables after it. */
export const createRunModel = (places: readonly WorldPlace[]) => {
  const limitedAccount = places.at(-1)?.accountId;
  let runs: ModelRun[] = [];
  let slots = 0;

  const find = (id: string): ModelRun => {
    const run = runs.find((each) => each.id === id);
    if (!run) throw new Error(`the model knows no run ${id}`);
    return run;
  };
  const isActive = ({ status }: ModelRun) => ["queued", "running", "waiting"].includes(status);
  const holdsPlace = (run: ModelRun) => run.status === "running" || (run.status === "queued" && run.admitted);
  const placesOf = (accountId: string) => runs.filter((run) => run.accountId === accountId && holdsPlace(run)).length;
  const waitingOf = (accountId: string) =>
    runs.filter((run) => run.accountId === accountId && run.status === "queued" && !run.admitted);
  const room = (accountId: string) =>
    accountId === limitedAccount ? Math.max(0, limits.parallel - placesOf(accountId)) : Infinity;
  const accounts = [...new Set(places.map(({ accountId }) => accountId))];
  const capacity = () => (slots === 0 ? 0 : slots + Math.max(2, Math.floor(slots / 2)));
  const taken = () => runs.filter(holdsPlace).length;

  const hasPlace = (accountId: string): boolean => {
    const eligible = accounts.reduce((sum, id) => sum + Math.min(waitingOf(id).length, room(id)), 0);
    if (taken() + eligible >= capacity()) return false;
    return accountId !== limitedAccount || (waitingOf(accountId).length === 0 && room(accountId) > 0);
  };

  const end = (run: ModelRun, status: "completed" | "failed" | "stopped"): void => {
    Object.assign(run, {
      status,
      attempt: run.attempt + 1,
      held: false,
      in_outbox: false,
      terminal_writes: 1,
      due: false,
    });
  };

  return {
    setFleet: (concurrency: number) => {
      slots = concurrency;
    },
    isActive: (id: string) => isActive(find(id)),
    isAdmitted: (id: string) => find(id).admitted,
    isStopping: (id: string) => find(id).stop,
    /** Do writes of this attempt count? */
    isCurrent: (id: string, attempt: number) => {
      const run = find(id);
      return run.status === "running" && run.attempt === attempt;
    },
    control: (): RunControl[] =>
      runs.map(({ accountId: _account, threadId: _thread, due: _due, asks: _asks, ...control }) => control),

    refusal: (place: WorldPlace): "thread_busy" | "too_many_runs" | null => {
      if (runs.some((run) => run.threadId === place.threadId && isActive(run))) return "thread_busy";
      const active = runs.filter((run) => run.accountId === place.accountId && isActive(run)).length;
      return place.accountId === limitedAccount && active >= limits.active ? "too_many_runs" : null;
    },
    start: (id: string, { accountId, threadId }: WorldPlace): void => {
      const admitted = hasPlace(accountId);
      const fresh = { status: "queued", attempt: 0, since_step: 0, held: false, stop: false, terminal_writes: 0 };
      runs.push({
        ...fresh,
        due: false,
        asks: false,
        waits: 0,
        id,
        accountId,
        threadId,
        admitted,
        delivery: admitted ? 1 : 0,
        in_outbox: true,
      });
    },
    admit: (batch: number): number => {
      for (const run of runs.filter(({ due }) => due)) {
        Object.assign(run, { status: "queued", in_outbox: true, due: false });
      }
      const free = Math.min(batch, capacity() - taken());
      if (free <= 0) return 0;
      const line = accounts.flatMap((accountId) =>
        waitingOf(accountId)
          .slice(0, Math.min(free, room(accountId)))
          .map((run, ordinal) => ({ run, turn: placesOf(accountId) + ordinal })),
      );
      const chosen = line
        .toSorted((left, right) => left.turn - right.turn || runs.indexOf(left.run) - runs.indexOf(right.run))
        .slice(0, free);
      for (const { run } of chosen) Object.assign(run, { admitted: true, delivery: run.delivery + 1 });
      return chosen.length;
    },
    claim: (id: string): "claimed" | "refused" => {
      const run = find(id);
      const isOrphan =
        run.status === "running" && !run.held && run.since_step < worldSettings.maxAttemptsWithoutProgress;
      if (run.status !== "queued" && !isOrphan) return "refused";
      const since_step = run.since_step + 1;
      Object.assign(run, { status: "running", attempt: run.attempt + 1, since_step, held: true, in_outbox: false });
      return "claimed";
    },
    stored: (id: string) => {
      find(id).since_step = 0;
    },
    end: (id: string, status: "completed" | "failed" | "stopped") => end(find(id), status),
    stop: (id: string): string => {
      const run = find(id);
      if (isActive(run)) run.stop = true;
      if (run.status !== "running" && isActive(run)) end(run, "stopped");
      return run.status;
    },
    park: (id: string, asks: boolean) => {
      const run = find(id);
      run.asks = asks;
      const since_step = Math.max(0, run.since_step - 1);
      Object.assign(run, { status: "waiting", admitted: false, held: false, since_step, waits: run.waits + 1 });
    },
    endWaits: () => {
      for (const run of runs) run.due = run.status === "waiting" && !run.asks;
    },
    /** Everything that a run asks is decided. Returns whether it asked. */
    decide: (id: string): boolean => {
      const run = find(id);
      const asked = run.status === "waiting" && run.asks;
      if (asked) Object.assign(run, { status: "queued", in_outbox: true });
      return asked;
    },
    loseLease: (id: string) => {
      find(id).held = false;
    },
    letGo: (id: string, attempt: number, how: "hand over" | "abandon") => {
      const run = find(id);
      if (run.status !== "running" || run.attempt !== attempt) return;
      run.held = false;
      if (how === "hand over") run.since_step = Math.max(0, run.since_step - 1);
    },
    /** Renews the leases of those that are still theirs. Returns which. */
    beat: (attempts: readonly { runId: string; attempt: number }[]): string[] => {
      const theirs = attempts
        .map(({ runId, attempt }) => ({ run: find(runId), attempt }))
        .filter(({ run, attempt }) => run.status === "running" && run.attempt === attempt);
      for (const { run } of theirs) run.held = true;
      return theirs.map(({ run }) => run.id);
    },
    /** @param isQueued which runs have a delivery in the queue */
    sweep: (isQueued: (id: string) => boolean): { redelivered: number; ended: number } => {
      const swept = { redelivered: 0, ended: 0 };
      for (const run of runs) {
        const isOrphan = run.status === "running" && !run.held;
        if (isOrphan && (run.stop || run.since_step >= worldSettings.maxAttemptsWithoutProgress)) {
          end(run, run.stop ? "stopped" : "failed");
          swept.ended += 1;
        } else if ((isOrphan || (run.status === "queued" && run.admitted)) && !isQueued(run.id)) {
          run.delivery += 1;
          swept.redelivered += 1;
        }
      }
      return swept;
    },
    remove: (id: string): "deleted" | "run_active" => {
      if (isActive(find(id))) return "run_active";
      runs = runs.filter((run) => run.id !== id);
      return "deleted";
    },
  };
};

export type RunModel = ReturnType<typeof createRunModel>;
