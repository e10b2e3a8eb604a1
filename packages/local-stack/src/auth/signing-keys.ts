import { randomUUID } from "node:crypto";
import { link, mkdir, open, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { type CryptoKey, exportJWK, generateKeyPair, importJWK, type JWK } from "jose";
import { StackError, systemErrorCode } from "../stack-error.ts";

/** The longest life an access token may have, as hosted. */
export const MAX_TOKEN_LIFETIME_SECONDS = 604_800;

/** A retired key verifies for longer than any token it signed can live: 8 days > 7 days + 10 minutes of cached JWKS. */
const RETIRED_KEY_KEPT_SECONDS = 691_200;

/** As it stands in the file: the current key with its private part, retired ones without. */
interface StoredKey {
  jwk: JWK & { kid: string };
  retired_at: string | null;
}

export interface SigningKeys {
  /** Signs new tokens. */
  current: { kid: string; privateKey: CryptoKey };
  /** Public parts of the current and the retired keys, as the JWKS publishes them. */
  published: JWK[];
}

/** The ES256 keys of this stack; the first is made at the first start. @throws StackError `data_folder` if the file is broken */
export async function loadSigningKeys(folder: string): Promise<SigningKeys> {
  return importKeys(folder, await readOrCreate(folder));
}

/**
 * Replaces the signing key. Tokens of the old one stay valid until they expire: its public part stays published, its private part is
 * forgotten, and keys that no living token can need are dropped.
 */
export async function rotateSigningKeys(folder: string, now: Date): Promise<SigningKeys> {
  const stored = await readOrCreate(folder);
  const oldest = now.getTime() - RETIRED_KEY_KEPT_SECONDS * 1000;
  const retired = stored
    .map(({ jwk, retired_at }) => ({ jwk: publicPart(jwk), retired_at: retired_at ?? now.toISOString() }))
    .filter((key) => Date.parse(key.retired_at) > oldest);
  const keys = [await generateKey(), ...retired];
  const draft = await writeDraft(folder, keys);
  await rename(draft, keyFile(folder));
  return importKeys(folder, keys);
}

async function readOrCreate(folder: string): Promise<StoredKey[]> {
  const existing = await readKeys(folder);
  if (existing !== null) return existing;
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const draft = await writeDraft(folder, [await generateKey()]);
  try {
    // Appears whole or not at all; of two first starts at once, the second takes the first one's key.
    await link(draft, keyFile(folder));
  } catch (error) {
    if (systemErrorCode(error) !== "EEXIST") throw error;
  } finally {
    await rm(draft, { force: true });
  }
  return (await readKeys(folder)) ?? broken(folder);
}

async function readKeys(folder: string): Promise<StoredKey[] | null> {
  let text: string;
  try {
    text = await readFile(keyFile(folder), "utf8");
  } catch (error) {
    if (systemErrorCode(error) === "ENOENT") return null;
    throw error;
  }
  try {
    const keys: unknown = JSON.parse(text);
    return Array.isArray(keys) && keys.length > 0 && keys.every(isStoredKey) ? keys : broken(folder);
  } catch (error) {
    return broken(folder, error);
  }
}

function isStoredKey(value: unknown): value is StoredKey {
  if (typeof value !== "object" || value === null || !("jwk" in value) || !("retired_at" in value)) return false;
  const { jwk, retired_at } = value;
  const hasKid = typeof jwk === "object" && jwk !== null && "kid" in jwk && typeof jwk.kid === "string";
  return hasKid && (retired_at === null || typeof retired_at === "string");
}

function broken(folder: string, cause?: unknown): never {
  throw new StackError(
    "data_folder",
    `${keyFile(folder)} does not hold signing keys: restore it, or delete it to sign everybody out and make new ones.`,
    { cause },
  );
}

async function importKeys(folder: string, stored: StoredKey[]): Promise<SigningKeys> {
  const jwk = stored[0]?.jwk;
  if (jwk?.d === undefined) return broken(folder);
  const privateKey = await importJWK(jwk, "ES256").catch((error: unknown) => broken(folder, error));
  if (privateKey instanceof Uint8Array) return broken(folder);
  return { current: { kid: jwk.kid, privateKey }, published: stored.map((key) => publicPart(key.jwk)) };
}

async function generateKey(): Promise<StoredKey> {
  const { privateKey } = await generateKeyPair("ES256", { extractable: true });
  const jwk = { ...(await exportJWK(privateKey)), kid: randomUUID(), alg: "ES256", use: "sig" };
  return { jwk, retired_at: null };
}

function publicPart({ d: _private, key_ops: _use, ...jwk }: JWK & { kid: string }): JWK & { kid: string } {
  return { ...jwk, key_ops: ["verify"] };
}

async function writeDraft(folder: string, keys: StoredKey[]): Promise<string> {
  const draft = `${keyFile(folder)}.${process.pid}.${randomUUID()}`;
  const file = await open(draft, "wx", 0o600);
  try {
    await file.writeFile(`${JSON.stringify(keys, null, 2)}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
  return draft;
}

function keyFile(folder: string): string {
  return join(folder, "signing-keys.json");
}
