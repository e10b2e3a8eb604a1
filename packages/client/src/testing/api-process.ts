import { spawn } from "node:child_process";
import { createHmac, randomUUID } from "node:crypto";
import { once } from "node:events";
import { join } from "node:path";
import { createTestDatabase, createTestRedis, eventually, type TestDatabase } from "@cortex/testing";

export interface ApiProcess extends AsyncDisposable {
  port: number;
  database: TestDatabase;
  /** An access token of this user. */
  tokenOf(userId: string): string;
  /** Everything that it has logged. */
  log(): string;
}

const program = join(import.meta.dirname, "../../../../apps/api/src/main.ts");
/** Nobody is asked there: the tokens are signed with the secret. */
const supabaseUrl = "http://127.0.0.1:9";

/** The API as a process of its own, with its own database and Redis; no worker. Ends with its `using` block. */
export const startApi = async (environment: Record<string, string>): Promise<ApiProcess> => {
  const [database, redis] = await Promise.all([createTestDatabase(), createTestRedis()]);
  const secret = `${randomUUID()}${randomUUID()}`;
  const env = {
    API_PORT: "0",
    DATABASE_URL: database.apiUrl,
    REDIS_URL: redis.url,
    SUPABASE_URL: supabaseUrl,
    SUPABASE_JWT_SECRET: secret,
    STREAM_TICKET_SECRET: randomUUID(),
    DEFAULT_MODEL: "demo",
    ...environment,
  };
  const child = spawn(process.execPath, [program], { env, stdio: ["ignore", "pipe", "inherit"] });
  const ended = once(child, "exit");
  let log = "";
  child.stdout.on("data", (text: Buffer) => (log += text.toString()));
  const close = async (): Promise<void> => {
    child.kill("SIGKILL");
    await ended;
    await Promise.all([database.drop(), redis.drop()]);
  };
  const ready = await eventually(() => /"port":(\d+),[^\n]*"msg":"api ready"/.exec(log)?.[1], {
    timeoutMs: 20_000,
  }).catch(async (error: unknown) => {
    await close();
    throw new Error(`the API did not start: ${log}`, { cause: error });
  });
  return {
    port: Number(ready),
    database,
    tokenOf: (userId) => accessToken(userId, secret),
    log: () => log,
    [Symbol.asyncDispose]: close,
  };
};

const accessToken = (userId: string, secret: string): string => {
  const now = Math.floor(Date.now() / 1_000);
  const claims = { sub: userId, aud: "authenticated", role: "authenticated", iss: `${supabaseUrl}/auth/v1`, iat: now };
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url");
  const text = `${part({ alg: "HS256" })}.${part({ ...claims, exp: now + 3_600 })}`;
  return `${text}.${createHmac("sha256", secret).update(text).digest("base64url")}`;
};
