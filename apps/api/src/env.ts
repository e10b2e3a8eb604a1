import { FaultPlanError, planFaults } from "@cortex/failpoints";
import { previewUrlPattern } from "@cortex/previews";
import { z } from "zod";

const wholeNumber = z.coerce.number("must be a whole number").int("must be a whole number");
const milliseconds = wholeNumber.positive();
const list = z
  .string()
  .transform((text) =>
    text
      .split(",")
      .map((item) => item.trim())
      .filter((item) => item !== ""),
  )
  .pipe(z.array(z.string()));

const webAddress = z.url({ protocol: /^https?$/ });

/** An origin as browsers send it: scheme, host and port, without a path. `*` is none: it would let every site read answers. */
const Origin = z
  .string()
  .refine(
    (text) => URL.canParse(text) && new URL(text).origin === text,
    "must be origins like https://app.example.com",
  );

/** Every variable that the API reads. `.env.example` lists the same ones, and a test keeps them equal. */
export const ApiEnv = z.object({
  API_HOST: z.string().min(1).default("127.0.0.1").describe("address to listen on; 0.0.0.0 in a container"),
  API_PORT: wholeNumber.min(0).max(65_535).default(8000).describe("port to listen on; 0: the system chooses"),
  DATABASE_URL: z.url({ protocol: /^postgres(ql)?$/ }).describe("Postgres, as cortex_api"),
  DATABASE_POOL_SIZE: wholeNumber.min(1).max(100).default(10).describe("connections to Postgres at most"),
  DATABASE_PREPARE: z
    .stringbool()
    .default(true)
    .describe("keep the plans of statements; false behind a transaction pooler without prepared statements"),
  REDIS_URL: z.url({ protocol: /^rediss?$/ }).describe("Redis with AOF and noeviction"),
  QUEUE_PREFIX: z.string().min(1).default("cortex").describe("what our queues' keys begin with"),
  SUPABASE_URL: webAddress.describe("the Supabase project whose users sign in; its JWKS verifies their tokens"),
  SUPABASE_JWT_ISSUER: z.string().min(1).optional().describe("issuer of tokens; default: SUPABASE_URL + /auth/v1"),
  SUPABASE_JWT_SECRET: z
    .string()
    .min(32, "must have 32 characters at least")
    .optional()
    .describe("legacy HS256 secret of the project; unset: HS256 tokens are refused"),
  STREAM_TICKET_SECRET: z
    .string()
    .min(32, "must have 32 characters at least")
    .describe("signs stream tickets; random, for nothing else, the same for all API processes"),
  DEFAULT_MODEL: z.string().min(1).describe("model of a run whose agent and request name none"),
  MODELS: list
    .optional()
    .describe("models that may be asked for, separated by commas; unset: whatever the endpoint serves"),
  MODEL_BASE_URL: webAddress
    .optional()
    .describe("LiteLLM with its /v1, for the prices and limits of its models; unset: those of our own list"),
  MODEL_API_KEY: z.string().min(1).optional().describe("key for MODEL_BASE_URL; it need not be allowed to ask a model"),
  MODEL_REFRESH_MS: milliseconds
    .default(300_000)
    .describe("how often LiteLLM is asked for the prices and limits of its models"),
  WEB_ORIGINS: list
    .pipe(z.array(Origin))
    .default([])
    .describe("browser origins that may call the API, separated by commas"),
  STREAMS_PER_RUN: wholeNumber
    .positive()
    .default(10)
    .describe("streams of one run that a user may have open at once, in all API processes together"),
  STREAMS_PER_USER: wholeNumber
    .positive()
    .default(100)
    .describe("streams that a user may have open at once, in all API processes together"),
  STREAMS_PER_PROCESS: wholeNumber.positive().default(2_000).describe("streams that this process keeps open at once"),
  SECRETS_KEYS: z
    .string()
    .min(1)
    .optional()
    .describe(
      "seal the secrets of accounts: name:base64 of 32 bytes, the current key first, then older ones; same for workers",
    ),
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
  PREVIEW_PORT: wholeNumber
    .min(0)
    .max(65_535)
    .default(8001)
    .describe("with PREVIEW_URL: port on API_HOST for previews and nothing else; 0: the system chooses"),
  EGRESS_ALLOW: list
    .default([])
    .describe("host:port of servers of yours that users may name although they are not public, separated by commas"),
  LOG_LEVEL: z
    .enum(["trace", "debug", "info", "warn", "error", "fatal", "silent"])
    .default("info")
    .describe("of the JSON log on stdout"),
  SHUTDOWN_TIMEOUT_MS: milliseconds
    .default(10_000)
    .describe("after a SIGTERM: how long to finish requests before the process just ends"),
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
export type ApiEnv = z.infer<typeof ApiEnv>;

/** The environment is not one that the API can start with; the message says why, one line for each variable. */
export class EnvError extends Error {
  override readonly name = "EnvError";
}

const faultOf = (given: Record<string, unknown>, issue: z.core.$ZodIssue): string => {
  const name = String(issue.path[0]);
  const meaning = z.toJSONSchema(ApiEnv, { io: "input", unrepresentable: "any" }).properties?.[name];
  const description = typeof meaning === "object" ? meaning.description : undefined;
  return `  ${name}: ${given[name] === undefined ? "is not set" : issue.message} (${description ?? "unknown"})`;
};

/**
 * Reads the environment once. An empty value counts as unset.
 * @throws EnvError that names every wrong variable in one line each
 */
export const readEnv = (source: Record<string, string | undefined> = process.env): ApiEnv => {
  const given = Object.fromEntries(Object.entries(source).filter(([, value]) => value !== undefined && value !== ""));
  const parsed = ApiEnv.safeParse(given);
  if (!parsed.success) {
    const lines = parsed.error.issues.map((issue) => faultOf(given, issue));
    throw new EnvError(`The API cannot start with this environment:\n${lines.join("\n")}`);
  }
  const { MODELS: models, DEFAULT_MODEL: model } = parsed.data;
  if (models && !models.includes(model)) {
    throw new EnvError(`The API cannot start: DEFAULT_MODEL ${model} is not one of MODELS.`);
  }
  if ((parsed.data.MODEL_BASE_URL === undefined) !== (parsed.data.MODEL_API_KEY === undefined)) {
    throw new EnvError("The API cannot start: MODEL_BASE_URL and MODEL_API_KEY are set together or not at all.");
  }
  if (parsed.data.PREVIEW_URL !== undefined && parsed.data.PREVIEW_SECRET === undefined) {
    throw new EnvError("The API cannot start: PREVIEW_URL needs PREVIEW_SECRET.");
  }
  try {
    planFaults(parsed.data);
  } catch (error) {
    if (error instanceof FaultPlanError) throw new EnvError(`The API cannot start: ${error.message}.`);
    throw error;
  }
  return parsed.data;
};
