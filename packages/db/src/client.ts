import type { Logger } from "@cortex/observability";
import { Kysely, PostgresDialect } from "kysely";
import pg from "pg";
import { quickConnections } from "./connections.ts";
import { endSilentConnections } from "./silent-connections.ts";
import type { DB } from "./types.gen.ts";

/** The query builder over the pool; every table is in the schema `cortex`. */
export type Db = Kysely<DB>;

export interface DatabaseOptions {
  /** Direct or pooled connection; safe behind a transaction pooler: no session state (and see `prepare`). */
  url: string;
  /** Connections at most. Budget them: Postgres' maximum divided by the processes. */
  poolSize: number;
  /** Shows up in pg_stat_activity. */
  name: string;
  /**
   * Keep each statement's plan on its connection. Planning is a good part of what a statement of ours costs. Off behind a transaction
   * pooler that does not know prepared statements. Default: on.
   */
  prepare?: boolean;
  /** A connection in use that hears nothing for so long is given up. Default: 8 s. */
  silenceMs?: number;
  log: Logger;
}

/** Statements are sent without waiting for the answer to the one before (connections.ts). The driver's types do not know the setting yet. */
const pipelining = { pipeline: true };

export interface Database {
  db: Db;
  close(): Promise<void>;
}

/**
 * Opens the pool. Without both error handlers a restart of Postgres ends the process: the pool reports errors of idle connections, a
 * checked-out connection reports its own.
 */
export const openDatabase = (options: DatabaseOptions): Database => {
  const pool = new pg.Pool({
    connectionString: options.url,
    max: options.poolSize,
    application_name: options.name,
    // A caller waits at most this long for a connection; below the API's own patience.
    connectionTimeoutMillis: 3_000,
    idleTimeoutMillis: 60_000,
    keepAlive: true,
    ...pipelining,
  });
  const lost = (error: Error) => options.log.warn({ err: error }, "lost a database connection");
  pool.on("error", lost);
  pool.on("connect", (client) => void client.on("error", lost));
  endSilentConnections(pool, options);
  const dialect = new PostgresDialect({ pool: quickConnections(pool, { prepare: options.prepare ?? true }) });
  const db = new Kysely<DB>({ dialect }).withSchema("cortex");
  return { db, close: () => db.destroy() };
};
