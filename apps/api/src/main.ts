import { armFaults, planFaults } from "@cortex/failpoints";
import { createLifetime, createLogger, runUntilSignal } from "@cortex/observability";
import { createApp } from "./app.ts";
import { EnvError, readEnv } from "./env.ts";
import { listen } from "./server.ts";
import { openPreviewEdge } from "./preview-edge.ts";
import { openServices } from "./services.ts";

const readEnvOrExit = () => {
  try {
    return readEnv();
  } catch (error) {
    if (!(error instanceof EnvError)) throw error;
    // For a person in front of a terminal: no log line, no stack.
    process.stderr.write(`${error.message}\n`);
    process.exit(1);
  }
};

const env = readEnvOrExit();
const faults = planFaults(env);
armFaults(faults);
const log = createLogger({
  name: "api",
  level: env.LOG_LEVEL,
  // What it holds of keys: an error page that repeats one must not bring it into the log.
  secrets: [
    env.SUPABASE_JWT_SECRET,
    env.STREAM_TICKET_SECRET,
    env.MODEL_API_KEY,
    ...(env.SECRETS_KEYS?.split(",").map((entry) => entry.slice(entry.indexOf(":") + 1).trim()) ?? []),
  ],
});
if (faults)
  log.warn({ failpoints: env.FAILPOINTS, off: env.MECHANISMS_OFF }, "faults are armed: this process breaks on purpose");
const lifetime = createLifetime({ log, timeoutMs: env.SHUTDOWN_TIMEOUT_MS });
runUntilSignal(lifetime, log);

const closing = new AbortController();
const services = await openServices(env, { log, lifetime, closing: closing.signal });
const server = await listen({ app: createApp(services), host: env.API_HOST, port: env.API_PORT, log });
lifetime.opened("server", () => {
  // Streams end only with their runs; their readers come back to another process.
  closing.abort();
  return server.close();
});
const previews = await openPreviewEdge(env, services);
lifetime.opened("previews", () => previews?.close());
log.info({ host: env.API_HOST, port: server.port, preview_port: previews?.port ?? null }, "api ready");
