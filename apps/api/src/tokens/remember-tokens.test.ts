import { UserId } from "@cortex/contracts";
import { expect, test } from "vitest";
import { rememberTokens } from "./remember-tokens.ts";

const identity = { userId: UserId.parse(crypto.randomUUID()), email: null, expiresAt: 1_000 };

test("a token is verified once a minute, and never taken beyond its end", async () => {
  let now = 900_000;
  const asked: string[] = [];
  const verify = rememberTokens(
    async (token) => {
      asked.push(token);
      return identity;
    },
    () => now,
  );
  expect(await verify("a")).toEqual(identity);
  expect(await verify("a")).toEqual(identity);
  await verify("b");
  expect(asked).toEqual(["a", "b"]);
  now += 60_000;
  await verify("a");
  expect(asked).toEqual(["a", "b", "a"]);
  now = 1_000_000; // its exp, sooner than a minute after
  await verify("a");
  expect(asked).toEqual(["a", "b", "a", "a"]);
});

test("a refused token is looked at each time", async () => {
  let asked = 0;
  const verify = rememberTokens(async () => {
    asked += 1;
    throw new Error("refused");
  });
  await expect(verify("a")).rejects.toThrow("refused");
  await expect(verify("a")).rejects.toThrow("refused");
  expect(asked).toBe(2);
});
