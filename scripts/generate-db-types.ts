import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative, resolve } from "node:path";
import { migrate } from "@cortex/db";
import { ensureSupabaseBase, freePort, startPostgres, startWatchdog } from "@cortex/local-stack";
import pg from "pg";
import { rowTypesFile, rowTypesOf } from "./db-types/row-types.ts";

/*
 * `npm run db:types`: writes packages/db/src/types.gen.ts from supabase/migrations. A private Postgres is started for it and ends
 * with it, whatever happens; nothing that runs already is touched.
 */

const root = resolve(import.meta.dirname, "..");

const folder = mkdtempSync(join(tmpdir(), "cortex-db-types-"));
chmodSync(folder, 0o755); // root's Postgres runs as `nobody`, who must get in
const watchdog = startWatchdog({ removeAtEnd: [folder] });
try {
  const server = await startPostgres({
    dataDir: join(folder, "postgres"),
    port: await freePort(),
    passwordFile: join(folder, "secrets/postgres"),
    logFile: join(folder, "postgres.log"),
    onSpawn: (pid) => watchdog.watch({ pid, signal: "SIGQUIT", stage: "store" }),
  });
  try {
    const client = new pg.Client({ connectionString: server.url });
    await client.connect();
    try {
      await ensureSupabaseBase(client);
      await migrate(client, { folder: join(root, "supabase/migrations") });
    } finally {
      await client.end();
    }
    await writeFile(rowTypesFile, await rowTypesOf(server.url));
    console.log(`${relative(root, rowTypesFile)} is as supabase/migrations say`);
  } finally {
    await server.stop();
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
  await watchdog.close();
}
