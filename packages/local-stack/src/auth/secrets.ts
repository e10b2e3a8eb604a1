import { createHmac } from "node:crypto";
import { join } from "node:path";
import { secretFile } from "../secret-file.ts";

/** The secrets of one stack, made at its first start and kept (0600) in its data home. */
export interface AuthSecrets {
  /** Names the project; browsers hold it. */
  publishableKey: string;
  /** May do everything the admin API can; only servers hold it. */
  secretKey: string;
  /**
   * A value that nobody without this stack's secret can compute, always the same for the same input.
   * @returns 32 bytes, base64url
   */
  derive(purpose: "refresh-token" | "one-time-code", input: string): string;
}

/** @param folder the auth server's folder in the data home. @throws the file system's error when it cannot be read or written */
export function openSecrets(folder: string): AuthSecrets {
  const derivationSecret = secretFile(join(folder, "derivation-secret"));
  return {
    publishableKey: `sb_publishable_${secretFile(join(folder, "publishable-key"))}`,
    secretKey: `sb_secret_${secretFile(join(folder, "secret-key"))}`,
    derive: (purpose, input) =>
      createHmac("sha256", derivationSecret).update(`${purpose}\0${input}`).digest("base64url"),
  };
}
