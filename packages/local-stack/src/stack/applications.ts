import pg from "pg";
import type { StackSettings } from "../settings.ts";
import { type ProcessPlan, startManaged } from "../supervision/managed-process.ts";
import type { Progress } from "../terminal/progress.ts";
import type { Closers } from "./closers.ts";
import type { Home } from "./open-home.ts";
import { type Addresses, apiPlan, authPlan, demoModelPlan, workerPlan } from "./process-plans.ts";

export type ApplicationDeps = {
  settings: StackSettings;
  environment: Record<string, string | undefined>;
  home: Home;
  progress: Progress;
  closers: Closers;
  signal: AbortSignal;
};

/** A worker hands its runs over in about a second (SHUTDOWN_TIMEOUT_MS 2 s < 2.5 s); with helpers and stores < 5 s. */
const APPLICATION_PATIENCE_MS = 2_500;
/** Auth and the demo model hold nothing that must be finished. */
const HELPER_PATIENCE_MS = 700;

type Planned = { plan: ProcessPlan; about: string };

/** What the API and the workers stand on: the auth server, unless a Supabase project exists, and the demo model, unless a key is set. */
export async function startHelpers(deps: ApplicationDeps, at: Addresses): Promise<void> {
  const { settings, environment } = deps;
  const planned: Planned[] = [];
  if (settings.supabase === null) planned.push({ plan: authPlan(at, environment), about: at.supabaseUrl });
  if (settings.model === "demo") {
    planned.push({ plan: demoModelPlan(at, environment), about: "scripted answers: no model key is set" });
  }
  await startTogether(deps, planned, HELPER_PATIENCE_MS);
}

/** The API and the workers; they are up when /ready says so and when the fleet has heard of every worker. */
export async function startApiAndWorkers(deps: ApplicationDeps, at: Addresses): Promise<void> {
  const { settings, environment } = deps;
  const owner = new pg.Pool({ connectionString: at.ownerUrl, max: 1, application_name: "cortex-stack" });
  owner.on("error", () => {}); // the watch over Postgres says that it ended
  deps.closers.add(() => owner.end());
  const { rows } = await owner.query<{ now: Date }>("select clock_timestamp() as now");
  const since = rows[0]?.now ?? new Date();
  const worker = (number: number): Planned => ({
    plan: workerPlan(at, environment, { number, concurrency: settings.workerConcurrency, owner, since }),
    about: "takes runs",
  });
  const workers = Array.from({ length: settings.workers }, (_, index) => worker(index + 1));
  const api = { plan: apiPlan(at, environment), about: `http://127.0.0.1:${at.ports.api}` };
  await startTogether(deps, [api, ...workers], APPLICATION_PATIENCE_MS);
}

/** Starts all of them, and has all of them stopped at once when their turn comes. One that fails ends the waiting for the others. */
async function startTogether(deps: ApplicationDeps, planned: Planned[], patienceMs: number): Promise<void> {
  const stops: (() => Promise<void>)[] = [];
  deps.closers.add(() => Promise.all(stops.map((stop) => stop())));
  const failed = new AbortController();
  const signal = AbortSignal.any([deps.signal, failed.signal]);
  const failures: unknown[] = [];
  const start = ({ plan, about }: Planned): Promise<void> =>
    deps.progress.part(plan.name, async (detail) => {
      const managed = await startManaged(plan, {
        logFolder: deps.home.logs,
        say: deps.progress.note,
        onSpawn: (name, pid) => deps.home.roster.spawned({ name, pid, stage: "application", signal: "SIGTERM" }),
        signal,
      });
      stops.push(() => managed.stop(patienceMs));
      detail(about);
    });
  await Promise.all(
    planned.map((one) =>
      start(one).catch((error: unknown) => {
        failures.push(error);
        failed.abort();
      }),
    ),
  );
  if (failures.length > 0) throw failures[0];
}
