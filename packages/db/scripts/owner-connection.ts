import pg from "pg";

/** What a command of this folder says when it cannot do its work: one sentence, no stack. */
export class SetUpError extends Error {
  override readonly name = "SetUpError";
}

/** A variable that must be set. @throws SetUpError */
export const required = (name: string, what: string): string => {
  const value = process.env[name]?.trim();
  if (value) return value;
  throw new SetUpError(`${name} is not set: ${what}`);
};

const connectTimeoutMs = 10_000;

/**
 * Runs `work` on one connection as the owner of the database, `DATABASE_URL`, and ends the process: 0, or 1 with one sentence on stderr.
 * What `work` returns is printed.
 */
export const asOwner = async (work: (client: pg.Client) => Promise<string>): Promise<never> => {
  try {
    const url = required("DATABASE_URL", "the owner's connection (postgres), direct or through the session pooler");
    const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: connectTimeoutMs });
    client.on("error", () => {}); // a lost connection fails the statement under way, which says so
    try {
      await client.connect();
      console.log(await work(client));
    } finally {
      await client.end();
    }
  } catch (error) {
    console.error(error instanceof Error ? error.message || error.stack : String(error));
    process.exit(1);
  }
  process.exit(0);
};
