import { expect, test } from "vitest";
import { createRateLimit } from "./rate-limit.ts";

function limitOf(limit: number) {
  const clock = { ms: 0 };
  const rate = createRateLimit({
    limit,
    windowSeconds: 60,
    code: "over_request_rate_limit",
    message: "too many",
    now: () => clock.ms,
  });
  return { clock, rate };
}

test("a window allows its number, then refuses with the time that is left, then begins anew", () => {
  const { clock, rate } = limitOf(2);
  rate.take("a");
  clock.ms = 15_000;
  rate.take("a");
  expect(() => rate.take("a")).toThrow(expect.objectContaining({ status: 429, details: { retryAfterSeconds: 45 } }));
  rate.take("b");
  clock.ms = 60_000;
  rate.take("a");
});

test("a refund gives one back, never more than was taken", () => {
  const { rate } = limitOf(1);
  rate.refund("a");
  rate.take("a");
  rate.refund("a");
  rate.refund("a");
  rate.take("a");
  expect(() => rate.take("a")).toThrow("too many");
});

test("a flood of keys is forgotten oldest first", () => {
  const { rate } = limitOf(1);
  rate.take("first");
  for (let n = 0; n < 9_999; n += 1) rate.take(`key ${n}`);
  expect(() => rate.take("first")).toThrow("too many");
  rate.take("one more");
  rate.take("first");
});
