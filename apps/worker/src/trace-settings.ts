import { createMask } from "@cortex/observability";
import type { TraceSettings } from "@cortex/traces";
import type { WorkerEnv } from "./env.ts";

const headerName = /^[\w!#$%&'*+.^`|~-]+$/;

/** `name=value,name=value`; a value may hold `=`. Null: it is no such list. */
export const parseHeaders = (text: string): Record<string, string> | null => {
  const headers: Record<string, string> = {};
  for (const pair of text.split(",")) {
    const at = pair.indexOf("=");
    const name = pair.slice(0, Math.max(0, at)).trim();
    if (!headerName.test(name)) return null;
    headers[name] = pair.slice(at + 1).trim();
  }
  return headers;
};

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
    mask: createMask([
      env.MODEL_API_KEY,
      secretKey,
      env.TAVILY_API_KEY,
      env.BRAVE_API_KEY,
      passwordOf(env.DATABASE_URL),
      passwordOf(env.REDIS_URL),
      ...Object.values(parseHeaders(env.OTLP_TRACES_HEADERS ?? "") ?? {}),
    ]),
  };
};
