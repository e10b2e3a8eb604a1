import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { RunEvent, StopReceipt } from "@cortex/contracts";
import { asUser, type Database, openDatabase, type Scope, type Tx } from "@cortex/db";
import { connectRedis, createEventLog, publishStop } from "@cortex/events";
import { silentLogger } from "@cortex/observability";
import { createProducer } from "@cortex/queue";
import { closeLog, ensureLog, startRun, stopRun } from "@cortex/runs";
import {
  aThread,
  aUser,
  createTestDatabase,
  createTestFolder,
  createTestRedis,
  eventually,
  startDemoModel,
} from "@cortex/testing";
import { expect } from "vitest";

/** Where Debian and Homebrew keep what a sandbox needs; the tests' own environment stays outside. */
const searchPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/opt/homebrew/bin";

const main = fileURLToPath(new URL("../main.ts", import.meta.url));

export interface WorkerProcess {
  id: string;
  pid: number;
  /** Everything it logged. */
  output(): string;
  /** `GET` on its private port. */
  ask(path: "/health" | "/ready"): Promise<{ status: number; body: Record<string, unknown> }>;
  signal(signal: NodeJS.Signals): void;
  /** Resolves when the process is gone, however it went. */
  ended(): Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  /** SIGTERM, and how it ended. */
  stop(): Promise<{ code: number | null; ms: number }>;
}

/** A place for workers to work in: database, Redis, demo model, and what an API would do for a client. */
export const createWorkplace = async () => {
  const log = silentLogger();
  const folder = createTestFolder();
  const [database, redisServer, model] = await Promise.all([
    createTestDatabase(),
    createTestRedis({ own: true }),
    startDemoModel({ port: 0 }),
  ]);
  const api: Database = openDatabase({ url: database.apiUrl, poolSize: 10, name: "test-api", log });
  const producer = createProducer({ redisUrl: redisServer.url, prefix: "cortex", log });
  const redis = connectRedis({ url: redisServer.url, name: "test", log });
  const eventLog = createEventLog(redis);
  const workers: ChildProcess[] = [];
  const user = await aUser(database.owner, { planId: "local" });
  const deps = {
    db: api.db,
    deliver: producer.deliver,
    defaultModel: "demo",
    checkModel: () => undefined,
    // Never throws: if Redis is away, the heartbeat finds the flag.
    announceStop: (runId: string) => void publishStop(redis, runId).catch(() => undefined),
    closeLog: (run: { runId: string; scope: Scope }) => void closeLog({ db: api.db, log, eventLog }, run),
  };

  /** @param options.waits false: returns at once, whether it can work yet or not */
  const aWorker = async (
    env: Record<string, string> = {},
    options: { waits: boolean } = { waits: true },
  ): Promise<WorkerProcess> => {
    const id = `w${workers.length + 1}`;
    const child = spawn(process.execPath, [main], {
      env: {
        PATH: searchPath,
        DATABASE_URL: database.workerUrl,
        REDIS_URL: redisServer.url,
        MODEL_BASE_URL: model.url,
        MODEL_API_KEY: "none",
        SANDBOX_HOME: join(folder, "sandboxes"),
        WORKER_ID: id,
        WORKER_CONCURRENCY: "4",
        LOG_LEVEL: "info",
        ...env,
      },
      stdio: ["ignore", "pipe", "pipe"],
    });
    workers.push(child);
    let output = "";
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding("utf8").on("data", (text: string) => (output += text));
    const exited = once(child, "exit").then(() => ({ code: child.exitCode, signal: child.signalCode }));
    const failed = exited.then(({ code }) => {
      throw new Error(`the worker ended with ${String(code)}:\n${output}`);
    });
    failed.catch(() => undefined); // later ends are meant
    const ready = () => eventually(() => output.includes("worker ready"), { timeoutMs: 40_000 });
    if (options.waits) await Promise.race([failed, ready()]);
    return {
      id,
      pid: child.pid ?? 0,
      output: () => output,
      ask: async (path) => {
        const port = /"health_port":(\d+)/.exec(output)?.[1] ?? "";
        const response = await fetch(`http://127.0.0.1:${port}${path}`);
        return { status: response.status, body: (await response.json()) as Record<string, unknown> };
      },
      signal: (signal) => void child.kill(signal),
      ended: () => exited,
      stop: async () => {
        const startedAt = performance.now();
        if (child.exitCode === null && child.signalCode === null) {
          child.kill("SIGTERM");
          await once(child, "exit");
        }
        return { code: child.exitCode, ms: performance.now() - startedAt };
      },
    };
  };

  const start = async (
    prompt: string,
    options: { tools?: string[]; maxCostUsd?: string; threadId?: string; agentId?: string; model?: string } = {},
  ) => {
    const threadId = options.threadId ?? (await aThread(database.owner, { accountId: user.accountId })).threadId;
    const started = await startRun(deps, {
      userId: user.userId,
      accountId: null,
      threadId,
      requestId: "test",
      agentId: options.agentId ?? null,
      model: options.model ?? null,
      prompt,
      maxCostUsd: options.maxCostUsd ?? null,
      tools: options.tools ?? null,
      metadata: {},
    });
    return { runId: started.agent_run_id, threadId };
  };

  const rowOf = async (runId: string) => {
    const { rows } = await database.owner.query<{
      status: string;
      attempt: number;
      worker_id: string;
      terminal_writes: number;
      log_cursor: string | null;
      wait_unlogged_since: Date | null;
      error: { code: string; message: string } | null;
      stop_requested_at: Date | null;
      stop_receipt: StopReceipt | null;
    }>("select * from cortex.agent_runs where id = $1", [runId]);
    const [row] = rows;
    if (!row) throw new Error("no such run");
    return row;
  };

  const readEvents = async (runId: string): Promise<RunEvent[]> => {
    const page = await eventLog.read({ runId, from: 0, limit: 100_000 });
    return (page?.entries ?? []).map((entry) => JSON.parse(entry) as RunEvent);
  };

  return {
    database,
    redis: redisServer,
    model,
    user,
    aWorker,
    start,
    rowOf,
    /** What a user does through the API. */
    asUser: <Result>(work: (tx: Tx) => Promise<Result>) =>
      asUser(api.db, { userId: user.userId, accountId: null }, work),
    stop: (runId: string, userId = user.userId) => stopRun(deps, { runId, userId, accountId: null }),
    /** The message to the worker is lost; the wish is not. */
    stopUnheard: (runId: string) =>
      stopRun({ ...deps, announceStop: () => undefined }, { runId, userId: user.userId, accountId: null }),
    /** What the log says of a run, checked against Postgres: dense, every message in order, one end. Waits for the log to be closed. */
    expectWholeLog: async (runId: string, timeoutMs = 20_000): Promise<RunEvent[]> => {
      await eventually(async () => (await rowOf(runId)).log_cursor !== null, { timeoutMs });
      const page = await eventLog.read({ runId, from: 0, limit: 100_000 });
      const said = (page?.entries ?? []).map((entry) => JSON.parse(entry) as RunEvent);
      const { rows } = await database.owner.query<{ id: string }>(
        "select id from cortex.messages where run_id = $1 and role <> 'user' order by seq",
        [runId],
      );
      expect(said.map(({ seq }) => seq)).toEqual(said.map((_, index) => index));
      expect(said.flatMap((event) => (event.type === "message.completed" ? event.message.id : []))).toEqual(
        rows.map(({ id }) => id),
      );
      const ends = said.filter((event) => ["run.completed", "run.failed", "run.stopped"].includes(event.type));
      expect(ends).toEqual([said.at(-1)]);
      expect(said.filter((event) => event.type === "resync")).toHaveLength((page?.epoch ?? 1) > 1 ? 1 : 0);
      return said;
    },
    ended: (runId: string, timeoutMs = 10_000) =>
      eventually(
        async () => {
          const row = await rowOf(runId);
          return ["completed", "failed", "stopped"].includes(row.status) ? row : null;
        },
        { timeoutMs },
      ),
    events: readEvents,
    /** What the log of a run is after Redis has lost everything. */
    rebuiltLog: async (runId: string): Promise<RunEvent[]> => {
      await redis.flushall();
      await ensureLog(
        { db: api.db, log: eventLog },
        { runId, scope: { userId: user.userId, accountId: null }, as: "reader" },
      );
      return readEvents(runId);
    },
    messages: async (threadId: string) =>
      (
        await database.owner.query<{ role: string; status: string; text: string | null }>(
          "select role, status, content->0->>'text' as text from cortex.messages where thread_id = $1 order by seq",
          [threadId],
        )
      ).rows,
    close: async () => {
      for (const worker of workers) {
        if (worker.exitCode !== null || worker.signalCode !== null) continue;
        worker.kill("SIGKILL");
        await once(worker, "exit");
      }
      await producer.close();
      redis.disconnect();
      await Promise.all([api.close(), model.close()]);
      await Promise.all([database.drop(), redisServer.drop()]);
    },
  };
};

export type Workplace = Awaited<ReturnType<typeof createWorkplace>>;
