import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const root = resolve(import.meta.dirname, "../..");

/** The checked-in file. */
export const rowTypesFile = join(root, "packages/db/src/types.gen.ts");

/** What the catalogue cannot say: the words that a check constraint allows. */
const columnTypesFile = join(root, "packages/db/scripts/column-types.json");

/** One catalogue query and a formatter: below a second. More than that is a server that does not answer. */
const timeoutMs = 30_000;

/** The text of `types.gen.ts` for a migrated database. @param databaseUrl as its owner: other roles do not see every table */
export async function rowTypesOf(databaseUrl: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "cortex-types-"));
  try {
    const file = join(folder, "types.gen.ts");
    const program = fileURLToPath(import.meta.resolve("kysely-codegen/dist/cli/bin.js"));
    const options = [
      ...["--dialect", "postgres", "--url", databaseUrl, "--out-file", file, "--log-level", "error"],
      ...["--default-schema", "cortex", "--include-pattern", "cortex.*"],
      ...["--overrides", await readFile(columnTypesFile, "utf8")],
    ];
    // Not in the checkout: there the program would read `.env`, and with it somebody's DATABASE_URL.
    await promisify(execFile)(process.execPath, [program, ...options], { cwd: folder, timeout: timeoutMs });
    return await readFile(file, "utf8");
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
