import { createHash, createHmac, pbkdf2, randomBytes } from "node:crypto";
import { promisify } from "node:util";

/** What is needed of a `pg` client. */
type Connection = {
  escapeIdentifier(name: string): string;
  escapeLiteral(text: string): string;
  query(sql: string): Promise<unknown>;
};

/** The roles that the applications log in as; migrations create them without a password and without login. */
export type RolePasswords = { cortex_api: string; cortex_worker: string };

/** PostgreSQL's own default for scram_iterations. */
const ITERATIONS = 4096;

/**
 * The set-up step after the migrations: login and password for the two roles. Only a SCRAM verifier travels to the
 * server, so the password shows up in no statement log. `client` must be a role that may alter them.
 */
export async function setRolePasswords(client: Connection, passwords: RolePasswords): Promise<void> {
  for (const role of ["cortex_api", "cortex_worker"] as const) {
    const verifier = await scramVerifier(passwords[role]);
    await client.query(`alter role ${client.escapeIdentifier(role)} login password ${client.escapeLiteral(verifier)}`);
  }
}

/**
 * What Postgres stores for a password (RFC 5803, RFC 7677): `SCRAM-SHA-256$<iterations>:<salt>$<stored>:<server>`.
 * SASLprep is left out: passwords must be ASCII, where it changes nothing.
 */
async function scramVerifier(password: string, salt: Buffer = randomBytes(16)): Promise<string> {
  if (!/^[\x21-\x7e]+$/.test(password)) throw new Error("A role's password must be printable ASCII without blanks.");
  const salted = await promisify(pbkdf2)(password, salt, ITERATIONS, 32, "sha256");
  const hmac = (text: string): Buffer => createHmac("sha256", salted).update(text).digest();
  const stored = createHash("sha256").update(hmac("Client Key")).digest("base64");
  return `SCRAM-SHA-256$${ITERATIONS}:${salt.toString("base64")}$${stored}:${hmac("Server Key").toString("base64")}`;
}
