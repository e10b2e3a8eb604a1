import { chmodSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClient } from "@supabase/supabase-js";
import { freePort } from "@cortex/local-stack";
import type { Target } from "./follower.ts";
import { saidLine, startScript, stopScript } from "./processes.ts";

/** Runs that may be under way at once, on both sides. */
const concurrency = 64;

export interface BenchStack {
  cortex: Target;
  floor: Target;
  model: { baseURL: string; apiKey: string };
  /** The processes of Cortex whose memory is looked at. */
  processes: { name: string; pid: number }[];
  /** As `/ready` reports it. */
  durability: string;
  close(): Promise<void>;
}

/**
 * One demo model, one local stack as shipped, and the floor beside it: same Redis, same model, the same number of processes (one that serves,
 * one that works).
 */
export const startBench = async (): Promise<BenchStack> => {
  const home = mkdtempSync(join(tmpdir(), "cortex-bench-"));
  // As root, Postgres runs as another user; a home that it may enter keeps its data inside, to be removed with it.
  chmodSync(home, 0o755);
  const ports = {
    api: await freePort(),
    supabase: await freePort(),
    postgres: await freePort(),
    redis: await freePort(),
  };
  const modelPort = await freePort();
  const model = { baseURL: `http://127.0.0.1:${modelPort}/v1`, apiKey: "bench" };
  const modelProcess = startScript("packages/local-stack/src/bin/demo-model.ts", [], {
    DEMO_MODEL_PORT: String(modelPort),
    DEMO_MODEL_API_KEY: model.apiKey,
  });
  const stack = startScript("packages/local-stack/src/bin/start.ts", ["--no-sample"], {
    CORTEX_HOME: home,
    API_PORT: String(ports.api),
    SUPABASE_PORT: String(ports.supabase),
    POSTGRES_PORT: String(ports.postgres),
    REDIS_PORT: String(ports.redis),
    WORKER_CONCURRENCY: String(concurrency),
    LITELLM_BASE_URL: model.baseURL,
    LITELLM_API_KEY: model.apiKey,
    DEFAULT_MODEL: "demo",
    LOG_LEVEL: "warn",
  });
  await saidLine(stack, /cortex ready/, 120_000);
  const file = JSON.parse(readFileSync(join(home, "stack.json"), "utf8")) as {
    api_url: string;
    supabase_url: string;
    supabase_anon_key: string;
    redis_url: string;
    demo_user: { email: string; password: string };
    processes: { name: string; pid: number }[];
  };
  const auth = createClient(file.supabase_url, file.supabase_anon_key, {
    auth: { persistSession: false, autoRefreshToken: false },
  }).auth;
  const signedIn = await auth.signInWithPassword(file.demo_user);
  if (signedIn.error) throw signedIn.error;
  const authorization = { authorization: `Bearer ${signedIn.data.session.access_token}` };

  const floorPort = await freePort();
  const floorEnv = {
    REDIS_URL: file.redis_url,
    MODEL_BASE_URL: model.baseURL,
    MODEL_API_KEY: model.apiKey,
    FLOOR_PORT: String(floorPort),
    FLOOR_CONCURRENCY: String(concurrency),
  };
  const floorServer = startScript("bench/floor.ts", ["server"], floorEnv);
  const floorWorker = startScript("bench/floor.ts", ["worker"], floorEnv);
  await saidLine(floorServer, /port/, 20_000);

  const post = async (url: string, body: unknown, headers: Record<string, string>) => {
    const response = await fetch(url, {
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
      body: JSON.stringify(body),
    });
    const answer = (await response.json()) as { id?: string; agent_run_id?: string };
    if (!response.ok) throw new Error(`POST ${url} answered ${response.status}: ${JSON.stringify(answer)}`);
    return answer;
  };
  // A thread has one active run, so every run gets a thread of its own; making it is not what is measured.
  const threads: string[] = [];
  const newThread = async () => (await post(`${file.api_url}/api/threads`, {}, authorization)).id ?? "";
  const cortex: Target = {
    name: "cortex",
    prepare: async (count) => {
      while (threads.length < count) threads.push(await newThread());
    },
    start: async (prompt) => {
      const thread = threads.pop() ?? (await newThread());
      const started = await post(`${file.api_url}/api/thread/${thread}/agent/start`, { prompt }, authorization);
      return started.agent_run_id ?? "";
    },
    follow: (runId) => fetch(`${file.api_url}/api/agent-run/${runId}/stream`, { headers: authorization }),
  };
  const floorUrl = `http://127.0.0.1:${floorPort}`;
  const floor: Target = {
    name: "floor",
    prepare: async () => undefined,
    start: async (prompt) => (await post(floorUrl, { prompt }, {})).agent_run_id ?? "",
    follow: (runId) => fetch(`${floorUrl}/${runId}`),
  };
  const ready = (await (await fetch(`${file.api_url}/ready`)).json()) as { durability: unknown };

  return {
    cortex,
    floor,
    model,
    processes: file.processes.filter(({ name }) => name === "api" || name.startsWith("worker")),
    durability: JSON.stringify(ready.durability),
    close: async () => {
      await Promise.all([stopScript(floorServer), stopScript(floorWorker), stopScript(stack)]);
      await stopScript(modelProcess);
      rmSync(home, { recursive: true, force: true });
    },
  };
};
