import type { WorkerEnv } from "./env.ts";
import { parseHeaders } from "./trace-headers.ts";

/** The keys that this process holds, by value: what it logs and traces has none of them. */
export const keysOf = (env: WorkerEnv): (string | undefined)[] => [
  env.MODEL_API_KEY,
  env.TAVILY_API_KEY,
  env.BRAVE_API_KEY,
  env.LANGFUSE_SECRET_KEY,
  // Each is `name:key`.
  ...(env.SECRETS_KEYS?.split(",").map((entry) => entry.slice(entry.indexOf(":") + 1).trim()) ?? []),
  ...Object.values(parseHeaders(env.OTLP_TRACES_HEADERS ?? "") ?? {}),
];
