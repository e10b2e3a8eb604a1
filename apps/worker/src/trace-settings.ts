import { createMask } from "@cortex/observability";
import type { TraceSettings } from "@cortex/traces";
import type { WorkerEnv } from "./env.ts";
import { keysOf } from "./keys-of-env.ts";
import { parseHeaders } from "./trace-headers.ts";

const passwordOf = (url: string): string | undefined => {
  const { password } = new URL(url);
  return password === "" ? undefined : decodeURIComponent(password);
};

/** Longest time of one request to a target. */
const timeoutMs = 5_000;

/** Where traces go, and what must not go with them: the secrets of this process. */
export const traceSettings = (env: WorkerEnv): TraceSettings => {
  const { LANGFUSE_PUBLIC_KEY: publicKey, LANGFUSE_SECRET_KEY: secretKey, OTLP_TRACES_URL: url } = env;
  return {
    langfuse:
      publicKey === undefined || secretKey === undefined
        ? null
        : { publicKey, secretKey, baseUrl: env.LANGFUSE_BASE_URL.replace(/\/+$/, "") },
    otlp: url === undefined ? null : { url, headers: parseHeaders(env.OTLP_TRACES_HEADERS ?? "") ?? {} },
    environment: env.TRACES_ENVIRONMENT,
    content: env.TRACES_CONTENT,
    timeoutMs,
    mask: createMask([...keysOf(env), passwordOf(env.DATABASE_URL), passwordOf(env.REDIS_URL)]),
  };
};
