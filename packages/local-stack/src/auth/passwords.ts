import { randomBytes } from "node:crypto";
import { type AuthDatabase, findOne } from "./database.ts";
import { AuthFailure } from "./failure.ts";

/** Hosted's minimum. */
const MIN_LENGTH = 6;
/** bcrypt reads 72 bytes and ignores the rest in silence. */
const MAX_BYTES = 72;
/** 2^10 rounds, hosted's cost: about 50 ms of one core. */
const COST = 10;

/** bcrypt as hosted stores it, computed by pgcrypto: in the database's processes, never on this process's event loop. */
export interface Passwords {
  hash(password: string): Promise<string>;
  /**
   * Takes as long without a hash (no such user, no password) as with one, so that time does not tell who exists.
   * @param whenItsTurnComes called just before the work, perhaps long after the call: the place to count an attempt, because
   * what still waits in line is none; what it throws is thrown
   */
  matches(password: string, hash: string | null, whenItsTurnComes?: () => void): Promise<boolean>;
}

/**
 * @param db its own small pool: what waits for bcrypt must not hold the connections that a refresh needs
 * @param schema quoted name of the schema that holds pgcrypto
 */
export async function createPasswords(db: AuthDatabase, schema: string): Promise<Passwords> {
  const hash = async (password: string): Promise<string> => {
    const sql = `select ${schema}.crypt($1, ${schema}.gen_salt('bf', ${COST})) as hash`;
    const row = await findOne<{ hash: string }>(db, sql, [password]);
    if (row === null) throw new TypeError("crypt returned nothing");
    return row.hash;
  };
  const nobodysHash = await hash(randomBytes(24).toString("base64url"));

  return {
    hash,
    async matches(password, stored, whenItsTurnComes) {
      const connection = await db.connect();
      try {
        whenItsTurnComes?.();
        const sql = `select ${schema}.crypt($1, $2) = $2 as ok`;
        const row = await findOne<{ ok: boolean }>(connection, sql, [password, stored || nobodysHash]);
        return row?.ok === true && Boolean(stored);
      } finally {
        connection.release();
      }
    },
  };
}

/** @throws AuthFailure `validation_failed` or `weak_password`, as hosted */
export function parsePassword(password: string | null): string {
  if (!password) throw new AuthFailure(400, "validation_failed", "Signup requires a valid password");
  if (Buffer.byteLength(password) > MAX_BYTES) {
    throw new AuthFailure(400, "validation_failed", `Password cannot be longer than ${MAX_BYTES} characters`);
  }
  if (password.length < MIN_LENGTH) {
    throw new AuthFailure(422, "weak_password", `Password should be at least ${MIN_LENGTH} characters.`, {
      weakPasswordReasons: ["length"],
    });
  }
  return password;
}
