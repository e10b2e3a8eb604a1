import { join } from "node:path";
import { migrate, MigrationError, seed, setRolePasswords, type RolePasswords } from "@cortex/db";
import pg from "pg";
import { StackError } from "../stack-error.ts";
import { ensureSupabaseBase } from "../supabase-base/ensure-supabase-base.ts";

export type PreparedDatabase = { apiUrl: string; workerUrl: string; migrationsApplied: number };

/**
 * Brings a database up to date: what Supabase has before the first migration (unless `isSupabase`: then it is there
 * already), our migrations, the seed (never in a Supabase project: there, somebody pays), login for the two roles.
 * Safe to run again. Errors: `start_failed`.
 */
export async function prepareDatabase(input: {
  ownerUrl: string;
  isSupabase: boolean;
  supabaseFolder: string;
  rolePasswords: RolePasswords;
  /** where a database of ours lives, null for an existing one */
  dataFolder: string | null;
}): Promise<PreparedDatabase> {
  const client = new pg.Client({ connectionString: input.ownerUrl, connectionTimeoutMillis: 10_000 });
  client.on("error", () => {}); // a lost connection fails the statement under way, which says so
  try {
    await client.connect();
    if (!input.isSupabase) await ensureSupabaseBase(client);
    const applied = await migrate(client, { folder: join(input.supabaseFolder, "migrations") });
    if (!input.isSupabase) await seed(client, { file: join(input.supabaseFolder, "seed.sql") });
    await setRolePasswords(client, input.rolePasswords);
    return {
      apiUrl: withLogin(input.ownerUrl, "cortex_api", input.rolePasswords.cortex_api),
      workerUrl: withLogin(input.ownerUrl, "cortex_worker", input.rolePasswords.cortex_worker),
      migrationsApplied: applied.length,
    };
  } catch (error) {
    throw explain(error, input);
  } finally {
    await client.end();
  }
}

/** The pooler of hosted Supabase wants `<role>.<project>` as user name; a direct connection just the role. */
export function withLogin(ownerUrl: string, role: string, password: string): string {
  const url = new URL(ownerUrl);
  const [, project] = decodeURIComponent(url.username).split(".");
  url.username = project === undefined ? role : `${role}.${project}`;
  url.password = password;
  return url.href;
}

function explain(error: unknown, input: { ownerUrl: string; dataFolder: string | null }): StackError {
  const message = error instanceof Error ? error.message : String(error);
  if (error instanceof MigrationError) {
    const startEmpty = input.dataFolder === null ? "" : ` (an empty one is made when ${input.dataFolder} is removed)`;
    const sentence = `The database could not be brought up to date: ${message}${startEmpty}.`;
    return new StackError("start_failed", sentence, { cause: error });
  }
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  const advice = CONNECTING.has(code)
    ? "check DATABASE_URL"
    : "the owner's connection is needed, on a direct or session port";
  const { host } = new URL(input.ownerUrl);
  const sentence = `The database at ${host} could not be prepared (${message}): ${advice}.`;
  return new StackError("start_failed", sentence, { cause: error });
}

/** Nobody there, or not for us. */
const CONNECTING = new Set(["ECONNREFUSED", "ENOTFOUND", "ETIMEDOUT", "EHOSTUNREACH", "28P01", "28000", "3D000"]);
