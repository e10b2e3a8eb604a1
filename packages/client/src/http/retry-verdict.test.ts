import { expect, test } from "vitest";
import { ApiError, ConnectionError, UnexpectedAnswerError } from "../failures.ts";
import { retryVerdict } from "./retry-verdict.ts";
import { defaultTiming } from "./timing.ts";

const refused = (status: number, more: { code?: string; retryable?: boolean; retryAfterMs?: number } = {}) =>
  new ApiError({
    status,
    code: more.code ?? null,
    detail: "",
    retryable: more.retryable ?? true,
    retryAfterMs: more.retryAfterMs ?? null,
    requestId: null,
    errors: [],
    agentRunId: null,
  });

const verdict = (failure: unknown, more: { repeatable?: boolean; tries?: number; random?: number } = {}) =>
  retryVerdict({ failure, repeatable: true, tries: 1, timing: defaultTiming, random: 0, ...more });

test.each([
  ["no answer", new ConnectionError("reset")],
  ["408", refused(408)],
  ["429", refused(429)],
  ["500 of a proxy", refused(500)],
  ["503", refused(503, { retryAfterMs: 1_000 })],
  ["our own first try holds the key", refused(409, { code: "idempotency_key_in_use" })],
])("%s: again", (_, failure) => {
  expect(verdict(failure).kind).toBe("again");
  expect(verdict(failure, { repeatable: false }).kind).toBe("give_up");
  expect(verdict(failure, { tries: defaultTiming.tries }).kind).toBe("give_up");
});

test.each([
  ["a bug of the API", refused(500, { code: "internal", retryable: false })],
  ["a busy thread", refused(409, { code: "thread_busy" })],
  ["a refusal", refused(404, { retryable: false })],
  ["an answer of another version", new UnexpectedAnswerError("?")],
  ["a bug of ours", new TypeError("?")],
  ["a wait that the caller should know of", refused(429, { retryAfterMs: 5_000 })],
])("%s: told at once", (_, failure) => {
  expect(verdict(failure)).toEqual({ kind: "give_up" });
});

test("waits double with jitter, and never end before the API's own", () => {
  const waits = (random: number) => [1, 2, 3].map((tries) => verdict(new ConnectionError("x"), { tries, random }));
  expect(waits(0)).toMatchObject([{ waitMs: 100 }, { waitMs: 200 }, { waitMs: 400 }]);
  expect(waits(1)).toMatchObject([{ waitMs: 200 }, { waitMs: 400 }, { waitMs: 800 }]);
  expect(verdict(refused(503, { retryAfterMs: 1_000 }))).toMatchObject({ waitMs: 1_000 });
  expect(verdict(refused(503, { retryAfterMs: 1_000 }), { random: 1 })).toMatchObject({ waitMs: 1_200 });
});
