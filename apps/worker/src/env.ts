import { planFaults } from "@cortex/failpoints";
import { previewUrlPattern } from "@cortex/previews";
import { z } from "zod";
import { parseHeaders } from "./trace-headers.ts";

const port = z.coerce.number().int().min(0).max(65_535);
const milliseconds = z.coerce.number().int().positive();

/** Every variable that a worker reads. `.env.example` lists the same ones, and a test keeps them equal. */
export const WorkerEnv = z.object({
  DATABASE_URL: z.url({ protocol: /^postgres(ql)?$/ }).describe("Postgres, as cortex_worker"),
  DATABASE_POOL_SIZE: z.coerce
    .number()
    .int()
    .min(2)
    .max(100)
    .default(10)
    .describe("connections to Postgres at most; one of them is the heartbeat's"),
  DATABASE_PREPARE: z
    .stringbool()
    .default(true)
    .describe("keep the plans of statements; false behind a transaction pooler without prepared statements"),
  REDIS_URL: z.url({ protocol: /^rediss?$/ }).describe("Redis with AOF and noeviction"),
  QUEUE_PREFIX: z.string().min(1).default("cortex").describe("what our queues' keys begin with"),
  WORKER_ID: z
    .string()
    .min(1)
    .optional()
    .describe("name of this worker in the fleet; default: host, pid and a random part"),
  WORKER_CONCURRENCY: z.coerce
    .number()
    .int()
    .min(1)
    .max(1_000)
    .default(10)
    .describe("runs that this worker executes at once"),
  WORKER_HEALTH_PORT: port.default(0).describe("private port of /health; 0: the system chooses"),
  MODEL_BASE_URL: z.url().describe("LiteLLM, or any endpoint of streaming chat completions, with its /v1"),
  MODEL_API_KEY: z.string().min(1).describe("key for MODEL_BASE_URL"),
  MODEL_FIRST_BYTE_MS: milliseconds.default(60_000).describe("silence before an answer begins, at most"),
  MODEL_IDLE_MS: milliseconds.default(60_000).describe("silence within an answer, at most"),
  MODEL_TOTAL_MS: milliseconds
    .default(600_000)
    .describe("one answer with all its tries, at most; more than MODEL_FIRST_BYTE_MS"),
  MODEL_REFRESH_MS: milliseconds
    .default(300_000)
    .describe("how often LiteLLM is asked for the prices and limits of its models"),
  CONTEXT_ASSUMED_WINDOW: z.coerce
    .number()
    .int()
    .min(1_000)
    .default(128_000)
    .describe("tokens that fit into a model which the catalogue does not know"),
  CONTEXT_SUMMARY_MODEL: z
    .string()
    .min(1)
    .optional()
    .describe("writes the summaries of conversations that outgrow their model; default: the run's own model"),
  SANDBOX_PROVIDER: z
    .enum(["auto", "local", "virtual"])
    .default("auto")
    .describe("where tools act: local (bubblewrap), virtual (just-bash), auto: the better one that works here"),
  SANDBOX_HOME: z.string().min(1).default(".cortex/sandboxes").describe("folder of the local sandboxes' workspaces"),
  SEARCH_PROVIDER: z
    .enum(["auto", "tavily", "brave", "none"])
    .default("auto")
    .describe("who searches the web for agents; auto: whose key is there, Tavily before Brave"),
  TAVILY_API_KEY: z.string().min(1).optional().describe("key for Tavily's search"),
  BRAVE_API_KEY: z.string().min(1).optional().describe("key for Brave's search"),
  EGRESS_ALLOW: z
    .string()
    .default("")
    .transform((list) => list.split(",").flatMap((entry) => entry.trim() || []))
    .refine(
      (list) => list.every((entry) => /^(?:\[[\da-f:.]+\]|[^\s:/@[\]]+):\d{1,5}$/i.test(entry)),
      "must be host:port, host:port, …",
    )
    .describe("host:port that agents may reach although it is not on the public internet, separated by commas"),
  BROWSER: z
    .enum(["sandbox", "worker", "off"])
    .default("sandbox")
    .describe(
      "where agents' browsers run: in the sandbox, or on the worker's side, with the internet through the egress proxy",
    ),
  BROWSER_PROGRAM: z
    .string()
    .min(1)
    .optional()
    .describe("with BROWSER=worker: Chromium or Chrome; default: where it usually is, or on the PATH"),
  BROWSER_NO_SANDBOX: z
    .stringbool()
    .default(false)
    .describe("with BROWSER=worker: without Chromium's own sandbox, where the machine refuses it"),
  PREVIEW_URL: z
    .string()
    .regex(previewUrlPattern, "must be like https://{label}.preview.example.com")
    .optional()
    .describe("where people see ports of sandboxes, like https://{label}.preview.example.com; unset: nowhere"),
  PREVIEW_SECRET: z
    .string()
    .min(32, "must have 32 characters at least")
    .optional()
    .describe("with PREVIEW_URL: signs links and ways to workers; random, the same for all API processes and workers"),
  PREVIEW_LISTEN: z
    .string()
    .regex(/^(\[[\da-f:]+\]|[\w.-]+):\d{1,5}$/i, "must be host:port")
    .default("127.0.0.1:0")
    .describe("private host:port where API processes ask for ports of sandboxes; 0: the system chooses"),
  PREVIEW_ADVERTISE: z
    .string()
    .regex(/^([\da-f:]+|[a-z\d]([a-z\d.-]*[a-z\d])?)$/i, "must be the name or address of a host")
    .optional()
    .describe("host under which they reach it; default: the one of PREVIEW_LISTEN, or the machine's name"),
  RUN_LEASE_MS: milliseconds.default(15_000).describe("how long a claim is good for without a heartbeat"),
  RUN_HEARTBEAT_MS: milliseconds.default(1_000).describe("heartbeat; less than half of RUN_LEASE_MS"),
  RUN_SWEEP_MS: milliseconds.default(2_000).describe("how often lost runs are looked for; at most RUN_LEASE_MS"),
  QUEUE_LOCK_MS: milliseconds.default(15_000).describe("how long the queue believes that a silent worker has its job"),
  QUEUE_STALLED_MS: milliseconds
    .default(5_000)
    .describe("how often the queue looks for jobs of dead workers; at most QUEUE_LOCK_MS"),
  RUN_MAX_MS: milliseconds.default(2 * 60 * 60 * 1_000).describe("longest life of a run"),
  RUN_MAX_WAIT_MS: milliseconds
    .default(30 * 60 * 1_000)
    .describe("how long one step of a run may wait for a model's provider that lets nobody through"),
  APPROVAL_MAX_WAIT_MS: milliseconds
    .default(7 * 24 * 60 * 60 * 1_000)
    .describe("how long a run may wait for a person's decision before it fails with approval_expired"),
  PATH: z.string().default("/usr/local/bin:/usr/bin:/bin").describe("the host's, where bubblewrap is looked for"),
  SECRETS_KEYS: z
    .string()
    .min(1)
    .optional()
    .describe(
      "seal the secrets of accounts: name:base64 of 32 bytes, the current key first, then older ones; as the API's",
    ),
  LANGFUSE_PUBLIC_KEY: z.string().min(1).optional().describe("traces of runs go to Langfuse; with LANGFUSE_SECRET_KEY"),
  LANGFUSE_SECRET_KEY: z.string().min(1).optional().describe("see LANGFUSE_PUBLIC_KEY"),
  LANGFUSE_BASE_URL: z
    .url({ protocol: /^https?$/ })
    .default("https://cloud.langfuse.com")
    .describe("where Langfuse is"),
  OTLP_TRACES_URL: z
    .url({ protocol: /^https?$/ })
    .optional()
    .describe("the same traces go to any OpenTelemetry collector (OTLP over HTTP, JSON); usually ends in /v1/traces"),
  OTLP_TRACES_HEADERS: z.string().optional().describe("headers for OTLP_TRACES_URL: name=value,name=value"),
  TRACES_ENVIRONMENT: z.string().min(1).max(40).default("default").describe("name of this installation in its traces"),
  TRACES_CONTENT: z
    .stringbool()
    .default(true)
    .describe("what was said, and arguments and results of tools, are part of a trace (bounded and masked)"),
  LOG_LEVEL: z
    .enum(["trace", "debug", "info", "warn", "error", "fatal", "silent"])
    .default("info")
    .describe("of the JSON log on stdout"),
  SHUTDOWN_TIMEOUT_MS: milliseconds
    .default(20_000)
    .describe("after a SIGTERM: how long to hand runs over before the process just ends"),
  NODE_ENV: z.string().optional().describe("production: whatever breaks things on purpose is refused"),
  FAILPOINTS: z
    .string()
    .optional()
    .describe("for tests: places where this process dies, fails or waits (packages/failpoints)"),
  FAILPOINTS_FILE: z.string().min(1).optional().describe("for tests: where hits of those places are recorded"),
  MECHANISMS_OFF: z
    .string()
    .optional()
    .describe("for tests: mechanisms that are switched off, to see their proof fail"),
});
export type WorkerEnv = z.infer<typeof WorkerEnv>;

/**
 * Reads the environment once. An empty value counts as unset.
 * @throws Error that names every wrong variable in one line each
 */
const readEnv = (source: Record<string, string | undefined> = process.env): WorkerEnv => {
  const given = Object.fromEntries(Object.entries(source).filter(([, value]) => value !== undefined && value !== ""));
  const parsed = WorkerEnv.safeParse(given);
  if (!parsed.success) {
    const lines = parsed.error.issues.map((issue) => `  ${issue.path.join(".")}: ${issue.message}`);
    throw new Error(`the worker cannot start with this environment:\n${lines.join("\n")}`);
  }
  const wrong = wrongTimes(parsed.data) ?? halfGiven(parsed.data) ?? missingKey(parsed.data);
  if (wrong !== null) throw new Error(`the worker cannot start: ${wrong}`);
  // Read again by main.ts; here it only refuses.
  planFaults(parsed.data);
  return parsed.data;
};

/** The inequalities between times of which each alone is fine. */
const wrongTimes = (env: WorkerEnv): string | null => {
  // One late beat must lose nothing.
  if (env.RUN_HEARTBEAT_MS * 2 >= env.RUN_LEASE_MS) return "RUN_HEARTBEAT_MS must be less than half of RUN_LEASE_MS";
  // An orphan waits for the end of its lease and for one look: the second must not be what takes the time.
  if (env.RUN_SWEEP_MS > env.RUN_LEASE_MS) return "RUN_SWEEP_MS must be at most RUN_LEASE_MS";
  if (env.QUEUE_STALLED_MS > env.QUEUE_LOCK_MS) return "QUEUE_STALLED_MS must be at most QUEUE_LOCK_MS";
  return null;
};

/** Settings that only mean something together. */
const halfGiven = (env: WorkerEnv): string | null => {
  if ((env.LANGFUSE_PUBLIC_KEY === undefined) !== (env.LANGFUSE_SECRET_KEY === undefined))
    return "LANGFUSE_PUBLIC_KEY and LANGFUSE_SECRET_KEY are set together or not at all";
  if (env.OTLP_TRACES_HEADERS !== undefined && parseHeaders(env.OTLP_TRACES_HEADERS) === null)
    return "OTLP_TRACES_HEADERS is a list like name=value,name=value";
  if (env.PREVIEW_URL !== undefined && env.PREVIEW_SECRET === undefined) return "PREVIEW_URL needs PREVIEW_SECRET";
  // Otherwise the first silence would end an answer that may be tried twice.
  if (env.MODEL_TOTAL_MS <= env.MODEL_FIRST_BYTE_MS) return "MODEL_TOTAL_MS must be more than MODEL_FIRST_BYTE_MS";
  return null;
};

/** A provider that was chosen by name needs its key. */
const missingKey = (env: WorkerEnv): string | null => {
  if (env.SEARCH_PROVIDER === "tavily" && env.TAVILY_API_KEY === undefined)
    return "SEARCH_PROVIDER is tavily and TAVILY_API_KEY is not set";
  if (env.SEARCH_PROVIDER === "brave" && env.BRAVE_API_KEY === undefined)
    return "SEARCH_PROVIDER is brave and BRAVE_API_KEY is not set";
  return null;
};

/** The environment, or the end of the process with one clear text instead of a stack trace. */
export const envOrExit = (): WorkerEnv => {
  try {
    return readEnv();
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    return process.exit(1);
  }
};
