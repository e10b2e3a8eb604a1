import { randomBytes } from "node:crypto";
import { expect, test } from "vitest";
import { createVault, VaultError } from "./vault.ts";

const key = (name: string) => `${name}:${randomBytes(32).toString("base64")}`;
const place = "account|mcp_servers|1|headers";

test("what was sealed opens in its place, and is never twice the same text", () => {
  const vault = createVault(key("k1"));
  const sealed = vault.seal("swordfish", place);
  expect(vault.open(sealed, place)).toBe("swordfish");
  expect(vault.seal("swordfish", place)).not.toBe(sealed);
  expect(sealed).not.toContain("swordfish");
  expect(vault.open(vault.seal("", place), place)).toBe("");
});

test("moved to another place, changed in any part, or under another key, it does not open", () => {
  const [one, other] = [createVault(key("k1")), createVault(key("k1"))];
  const sealed = one.seal("swordfish", place);
  expect(() => one.open(sealed, place.replace("1", "2"))).toThrow(VaultError);
  expect(() => other.open(sealed, place)).toThrow(VaultError);
  const parts = sealed.split(".");
  for (const index of [2, 3]) {
    const changed = parts.map((part, at) =>
      at === index ? part.replace(/^./, (first) => (first === "A" ? "B" : "A")) : part,
    );
    expect(() => one.open(changed.join("."), place)).toThrow(VaultError);
  }
  for (const text of ["", "v1", "swordfish", "v1.k1..", `${sealed}.x`, sealed.slice(0, -30)])
    expect(() => one.open(text, place)).toThrow(VaultError);
});

test("keys change: the first seals, the old ones still open, and what they sealed is known", () => {
  const [old, fresh] = [key("k1"), key("k2")];
  const sealed = createVault(old).seal("swordfish", place);
  const both = createVault(`${fresh},${old}`);
  expect(both.open(sealed, place)).toBe("swordfish");
  expect(both.isOutdated(sealed)).toBe(true);
  expect(both.isOutdated(both.seal("swordfish", place))).toBe(false);
  expect(() => createVault(fresh).open(sealed, place)).toThrow("k1 is not among");
});

test.each(["", "k1", "k1:short", `k1:${"A".repeat(44)},`, `a b:${Buffer.alloc(32).toString("base64")}`])(
  "%s is no list of keys",
  (keys) => {
    expect(() => createVault(keys)).toThrow(VaultError);
  },
);
