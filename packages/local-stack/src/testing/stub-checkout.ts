import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createTestFolder } from "@cortex/testing";
import { freePort } from "../ports.ts";
import { readSettings, type StackSettings } from "../settings.ts";

const checkout = join(import.meta.dirname, "../../../..");

/** The least that the supervisor takes for an API and for a worker: so that its tests are about supervision alone. */
const API = `import { createServer } from "node:http";
if (process.env.STUB_API_FAILS) { console.error("the API cannot start: STUB_API_FAILS is set"); process.exit(2); }
createServer((request, response) => response.end("{}")).listen(Number(process.env.API_PORT), "127.0.0.1");
process.once("SIGTERM", () => process.exit(0));
`;
const WORKER = `import pg from "pg";
const client = new pg.Client({ connectionString: process.env.DATABASE_URL });
client.on("error", () => process.exit(1));
await client.connect();
const beat = () => client.query("insert into cortex.workers (id, concurrency) values ($1, 1) on conflict (id) do update set heartbeat_at = clock_timestamp()", ["worker-" + process.pid]);
await beat();
setInterval(() => void beat(), 200);
process.once("SIGTERM", () => process.exit(0));
`;

/** A checkout whose API and worker are stubs, with everything else real, and settings for a stack of one's own on it. */
export async function createStubCheckout(): Promise<{ root: string; settings: StackSettings }> {
  const root = createTestFolder();
  for (const name of ["packages", "supabase", "node_modules"]) symlinkSync(join(checkout, name), join(root, name));
  for (const [app, source] of [
    ["api", API],
    ["worker", WORKER],
  ] as const) {
    mkdirSync(join(root, "apps", app, "src"), { recursive: true });
    writeFileSync(join(root, "apps", app, "src/main.ts"), source);
  }
  const settings = readSettings(await freePorts(), { root, cwd: root });
  return { root, settings };
}

/** Environment variables that move every port of a stack to a free one. */
export async function freePorts(): Promise<Record<string, string>> {
  const names = ["API_PORT", "WEB_PORT", "SUPABASE_PORT", "POSTGRES_PORT", "REDIS_PORT"];
  const entries: [string, string][] = [];
  for (const name of names) entries.push([name, String(await freePort())]);
  return Object.fromEntries(entries);
}
