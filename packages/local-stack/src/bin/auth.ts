import { fstatSync } from "node:fs";
import { createLogger } from "@cortex/observability";
import { readAuthEnv } from "../auth/env.ts";
import { startAuthServer } from "../auth/server.ts";
import { StackError } from "../stack-error.ts";

/**
 * The local stand-in for Supabase Auth as a process of its own: `node packages/local-stack/src/bin/auth.ts`.
 *
 * Environment: `AUTH_DATABASE_URL` (needed), `SUPABASE_PORT` (default 54321; 0 lets the system choose), `CORTEX_HOME` (default `.cortex`),
 * `WEB_PORT` (default 3000), `AUTH_SITE_URL`, `AUTH_ALLOWED_ORIGINS`, `AUTH_TOKEN_LIFETIME_SECONDS`, `AUTH_CONFIRM_EMAIL`. When it
 * listens it prints one line, `auth ready <url>`, and sends `{type: "ready", url, publishableKey, secretKey}` to a parent with an
 * IPC channel. SIGUSR2 rotates the signing key. It ends on SIGTERM and SIGINT, and when its parent dies.
 */
async function main(): Promise<void> {
  const log = createLogger({ name: "auth", level: "info" });
  const server = await startAuthServer({ ...readAuthEnv(process.env), log });
  let ending = false;
  const end = (): void => {
    if (ending) return;
    ending = true;
    void server.close().then(
      () => process.exit(0),
      (error: unknown) => {
        log.error({ err: error }, "could not close");
        process.exit(1);
      },
    );
  };
  process.once("SIGTERM", end);
  process.once("SIGINT", end);
  whenParentEnds(end);
  process.on("SIGUSR2", () => {
    server.rotateSigningKeys().then(
      () => log.info("signing key rotated"),
      (error: unknown) => log.error({ err: error }, "could not rotate the signing key"),
    );
  });
  console.log(`auth ready ${server.url}`);
  process.send?.({
    type: "ready",
    url: server.url,
    publishableKey: server.publishableKey,
    secretKey: server.secretKey,
  });
}

/** Calls back when the parent is gone: its IPC channel or its end of our stdin closes, even if it was killed. */
function whenParentEnds(end: () => void): void {
  if (process.connected) process.once("disconnect", end);
  const stdin = fstatSync(0);
  // A terminal or /dev/null (a service, `nohup`) is no parent's end: there, the end of input means nothing.
  if (!stdin.isFIFO() && !stdin.isSocket()) return;
  process.stdin.once("end", end).once("close", end).once("error", end).resume();
}

try {
  await main();
} catch (error) {
  // A StackError is a sentence for the person at the terminal; anything else needs its stack.
  console.error(error instanceof StackError ? error.message : error);
  process.exit(1);
}
