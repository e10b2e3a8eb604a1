import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";

/** Keeps secrets at rest. A sealed text is of use to nobody without the keys, and in no other place than its own. */
export interface Vault {
  /** @param place what it belongs to, `account|table|row|column`: sealed text that was moved elsewhere does not open */
  seal(secret: string, place: string): string;
  /** @throws VaultError if the key is not there any more, or the text or its place is not what it was */
  open(sealed: string, place: string): string;
  /** Was it sealed with a key that is not the current one? Then it is to be sealed again, and the old key can go. */
  isOutdated(sealed: string): boolean;
}

/** Never holds what was sealed. */
export class VaultError extends Error {
  override readonly name = "VaultError";
}

const cipher = "aes-256-gcm";
const keyBytes = 32;
const ivBytes = 12;
const tagBytes = 16;

const encrypt = (key: Buffer, plain: Buffer, place: string): Buffer => {
  const iv = randomBytes(ivBytes);
  const encryption = createCipheriv(cipher, key, iv).setAAD(Buffer.from(place));
  const text = Buffer.concat([encryption.update(plain), encryption.final()]);
  return Buffer.concat([iv, encryption.getAuthTag(), text]);
};

const decrypt = (key: Buffer, sealed: Buffer, place: string): Buffer => {
  const tagEnd = ivBytes + tagBytes;
  const decryption = createDecipheriv(cipher, key, sealed.subarray(0, ivBytes), { authTagLength: tagBytes })
    .setAAD(Buffer.from(place))
    .setAuthTag(sealed.subarray(ivBytes, tagEnd));
  return Buffer.concat([decryption.update(sealed.subarray(tagEnd)), decryption.final()]);
};

/** `name:base64` of one key. */
const readKey = (entry: string): readonly [string, Buffer] => {
  const [name = "", encoded = "", ...rest] = entry.trim().split(":");
  const key = Buffer.from(encoded, "base64");
  if (!/^\w{1,32}$/.test(name) || rest.length > 0 || key.length !== keyBytes)
    throw new VaultError("a key is a name, a colon and 32 bytes in base64");
  return [name, key];
};

/**
 * Opens the vault with its keys. Each secret has a key of its own, which the vault's current key wraps: so the vault's keys are changed without
 * touching a secret, and no key ever encrypts many texts.
 * @param keys `name:base64,name:base64`, 32 bytes each: the first one seals, all of them open
 * @throws VaultError for anything else
 */
export const createVault = (keys: string): Vault => {
  const entries = keys.split(",").map(readKey);
  const byName = new Map(entries);
  const [current] = entries;
  if (!current || byName.size !== entries.length) throw new VaultError("two keys have the same name");
  const [currentName, currentKey] = current;

  return {
    seal: (secret, place) => {
      const own = randomBytes(keyBytes);
      const parts = [encrypt(currentKey, own, place), encrypt(own, Buffer.from(secret), place)];
      return ["v1", currentName, ...parts.map((part) => part.toString("base64url"))].join(".");
    },
    open: (sealed, place) => {
      const [version, name = "", wrapped = "", text = "", ...rest] = sealed.split(".");
      const key = byName.get(name);
      if (version !== "v1" || rest.length > 0) throw new VaultError("this is no sealed text");
      if (!key) throw new VaultError(`the key ${name} is not among SECRETS_KEYS`);
      try {
        const own = decrypt(key, Buffer.from(wrapped, "base64url"), place);
        return decrypt(own, Buffer.from(text, "base64url"), place).toString();
      } catch (error) {
        throw new VaultError("the sealed text is not what it was, or not where it was", { cause: error });
      }
    },
    isOutdated: (sealed) => sealed.split(".")[1] !== currentName,
  };
};
