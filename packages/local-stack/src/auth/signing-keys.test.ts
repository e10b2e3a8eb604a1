import { mkdir, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createTestFolder } from "@cortex/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { loadSigningKeys, rotateSigningKeys } from "./signing-keys.ts";
import { type AuthUnderTest, newEmail, PASSWORD, sessionIn, startAuthUnderTest } from "./testing/auth-under-test.ts";

let auth: AuthUnderTest;
beforeAll(async () => {
  auth = await startAuthUnderTest();
});
afterAll(() => auth.close());

const hours = (n: number) => new Date(Date.now() + n * 3_600_000);

test("keys are made at the first start, for their owner alone, and kept", async () => {
  const folder = join(auth.home, "auth");
  const files = await readdir(folder);
  expect(files.sort()).toEqual(["derivation-secret", "publishable-key", "secret-key", "signing-keys.json"]);
  for (const file of files) expect(((await stat(join(folder, file))).mode & 0o777).toString(8)).toBe("600");
  expect(auth.publishableKey).toMatch(/^sb_publishable_[\w-]{32}$/);
  expect(auth.secretKey).toMatch(/^sb_secret_[\w-]{32}$/);

  const again = await startAuthUnderTest({ home: auth.home });
  try {
    expect([again.publishableKey, again.secretKey]).toEqual([auth.publishableKey, auth.secretKey]);
  } finally {
    await again.close();
  }
});

test("two stacks share no key", async () => {
  const other = await startAuthUnderTest();
  try {
    expect(other.publishableKey).not.toBe(auth.publishableKey);
    expect(other.secretKey).not.toBe(auth.secretKey);
    const { access_token } = sessionIn(await auth.client().auth.signUp({ email: newEmail(), password: PASSWORD }));
    expect((await other.client().auth.getUser(access_token)).error).toMatchObject({ code: "bad_jwt" });
  } finally {
    await other.close();
  }
});

test("of two first starts at once, both have the same key", async () => {
  const folder = join(createTestFolder(), "auth");
  const [one, other] = await Promise.all([loadSigningKeys(folder), loadSigningKeys(folder)]);
  expect(one.current.kid).toBe(other.current.kid);
  expect(await readdir(folder)).toEqual(["signing-keys.json"]);
});

test("after a rotation new tokens have a new key, old ones stay valid, and both keys are published", async () => {
  const client = auth.client();
  const before = sessionIn(await client.auth.signUp({ email: newEmail(), password: PASSWORD }));
  const kidOf = (token: string) =>
    (JSON.parse(Buffer.from(token.split(".")[0] ?? "", "base64url").toString()) as { kid: string }).kid;
  await auth.rotateSigningKeys();
  const after = sessionIn(await client.auth.refreshSession());
  expect(kidOf(after.access_token)).not.toBe(kidOf(before.access_token));
  const { keys } = (await (await auth.request("/.well-known/jwks.json")).json()) as { keys: { kid: string }[] };
  expect(keys.map(({ kid }) => kid)).toEqual([kidOf(after.access_token), kidOf(before.access_token)]);
  for (const { access_token } of [before, after])
    expect((await auth.client().auth.getUser(access_token)).error).toBeNull();
  // A client that cached the old JWKS meets an unknown key and looks again.
  expect((await client.auth.getClaims(after.access_token)).error).toBeNull();
});

test("a retired key forgets its private part, and is dropped when no token of it can live", async () => {
  const folder = join(createTestFolder(), "auth");
  const first = await loadSigningKeys(folder);
  await rotateSigningKeys(folder, hours(0));
  const stored = JSON.parse(await readFile(join(folder, "signing-keys.json"), "utf8")) as {
    jwk: Record<string, unknown>;
  }[];
  expect(stored.map(({ jwk }) => "d" in jwk)).toEqual([true, false]);
  const withinAWeek = await rotateSigningKeys(folder, hours(24 * 7));
  expect(withinAWeek.published.map(({ kid }) => kid)).toContain(first.current.kid);
  const later = await rotateSigningKeys(folder, hours(24 * 9));
  expect(later.published.map(({ kid }) => kid)).not.toContain(first.current.kid);
});

test.each(["", "{}", "[]", '[{"jwk": {}}]', '[{"jwk": {"kid": "x"}, "retired_at": null}]'])(
  "a broken key file (%j) is reported, and left for its owner to look at",
  async (text) => {
    const folder = join(createTestFolder(), "auth");
    await mkdir(folder);
    await writeFile(join(folder, "signing-keys.json"), text);
    await expect(loadSigningKeys(folder)).rejects.toMatchObject({ code: "data_folder" });
    expect(await readFile(join(folder, "signing-keys.json"), "utf8")).toBe(text);
  },
);
