import { StackError } from "../stack-error.ts";
import { findOne, type Queryable } from "./database.ts";

/** The tables this server cannot work without. */
const REQUIRED_TABLES = ["users", "identities", "sessions", "refresh_tokens", "mfa_amr_claims", "one_time_tokens"];

/**
 * The quoted name of the schema that holds pgcrypto (`extensions` on hosted projects, elsewhere in older databases).
 * @throws StackError `not_ready` when the auth schema or pgcrypto is missing, so that the server never starts half-working
 */
export async function findPgcryptoSchema(db: Queryable): Promise<string> {
  const found = await findOne<{ tables: number; pgcrypto: string | null }>(
    db,
    `select (select count(*)::int from information_schema.tables where table_schema = 'auth' and table_name = any($1)) as tables,
            (select quote_ident(n.nspname) from pg_extension e join pg_namespace n on n.oid = e.extnamespace
              where e.extname = 'pgcrypto') as pgcrypto`,
    [REQUIRED_TABLES],
  );
  if (found === null || found.tables < REQUIRED_TABLES.length || found.pgcrypto === null) {
    throw new StackError(
      "not_ready",
      "The database has no auth schema yet: set up the database (roles, schema auth, pgcrypto) before the auth server starts.",
    );
  }
  return found.pgcrypto;
}
