import { silentLogger } from "@cortex/observability";
import { refusalOf } from "@cortex/testing";
import { afterEach, beforeEach, expect, test } from "vitest";
import {
  newSigningKey,
  type SigningKey,
  type SigningProject,
  startSigningProject,
} from "../testing/signing-project.ts";
import { createProjectKeys } from "./project-keys.ts";
import { createTokenVerifier, type VerifyToken } from "./verify-token.ts";

const minutes = 60_000;

let project: SigningProject;
let verify: VerifyToken;
let time: number;
beforeEach(async () => {
  project = await startSigningProject();
  time = 0;
  const keys = createProjectKeys({
    url: `${project.url}/auth/v1/.well-known/jwks.json`,
    log: silentLogger(),
    now: () => time,
  });
  verify = createTokenVerifier({ issuer: project.issuer, keyFor: keys.keyFor, secret: null });
});
afterEach(() => project.close());

const outcome = async (key?: SigningKey): Promise<string> => {
  const token = await project.token({}, {}, key);
  return verify(token).then(
    () => "verified",
    (error: { code: string }) => error.code,
  );
};

test("the keys are fetched once for any number of tokens, and again after ten minutes", async () => {
  const outcomes = await Promise.all(Array.from({ length: 20 }, () => outcome()));
  expect([new Set(outcomes), project.fetches()]).toEqual([new Set(["verified"]), 1]);
  time += 10 * minutes - 1;
  await outcome();
  expect(project.fetches()).toBe(1);
  time += 1;
  await outcome();
  expect(project.fetches()).toBe(2);
});

test("a new key is found at once, unknown ones cost one fetch per cooldown", async () => {
  await outcome();
  const rotated = await newSigningKey();
  project.published.push(rotated.jwk);
  time += 30_000;
  expect([await outcome(rotated), project.fetches()]).toEqual(["verified", 2]);
  const strangers = await Promise.all(Array.from({ length: 50 }, async () => outcome(await newSigningKey())));
  expect([new Set(strangers), project.fetches()]).toEqual([new Set(["unauthenticated"]), 2]);
});

test("a revoked key verifies for ten minutes at most", async () => {
  const next = await newSigningKey();
  await outcome();
  project.published.splice(0, 1, next.jwk);
  expect(await outcome()).toBe("verified");
  time += 10 * minutes;
  expect([await outcome(), await outcome(next)]).toEqual(["unauthenticated", "verified"]);
});

test("an endpoint that is away is survived for an hour", async () => {
  await outcome();
  project.answerWith(500);
  time += 11 * minutes;
  expect([await outcome(), await outcome()]).toEqual(["verified", "verified"]);
  // One attempt, and none again within its cooldown: nobody waits for what has just failed.
  expect(project.fetches()).toBe(2);
  expect(await outcome(await newSigningKey())).toBe("unauthenticated");
  time = 60 * minutes;
  expect(await outcome()).toBe("unavailable");
  project.answerWith(200);
  expect(await outcome()).toBe("verified");
});

test("keys that could never be had: unavailable, until they can", async () => {
  project.answerWith(503);
  expect(await outcome()).toBe("unavailable");
  project.answerWith(200);
  expect(await outcome()).toBe("verified");
});

test("a set without a usable key verifies nothing", async () => {
  project.published.splice(0, 1, { kty: "oct", k: "c2VjcmV0", kid: project.key.kid, alg: "HS256" });
  expect(await refusalOf(verify(await project.token()))).toMatch(/^unauthenticated/);
});
