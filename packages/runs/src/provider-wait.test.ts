import { expect, test } from "vitest";
import { judgeWait, type ProviderLimit } from "./provider-wait.ts";

const minute = 60_000;
const limit: ProviderLimit = { askedMs: null, waits: 0, waitedMs: 0, maxWaitMs: 30 * minute, leftMs: 60 * minute };
const between = (changes: Partial<ProviderLimit>) =>
  [0, 0.999_999].map((random) => judgeWait({ ...limit, ...changes }, random));

test("without a word of the provider: from 5 s to a minute, with jitter", () => {
  const waits = [0, 1, 2, 3, 4, 5, 1_000].map((before) => between({ waits: before }));
  expect(waits.map(([least]) => least)).toEqual(
    [2_500, 5_000, 10_000, 20_000, 30_000, 30_000, 30_000].map((waitMs) => ({ kind: "wait", waitMs })),
  );
  expect(waits.map(([, most]) => most)).toEqual(
    [5_000, 10_000, 20_000, 40_000, 60_000, 60_000, 60_000].map((waitMs) => ({ kind: "wait", waitMs })),
  );
});

test("what the provider asks for is the least, and a little on top", () => {
  expect(between({ askedMs: 20_000 })).toEqual([
    { kind: "wait", waitMs: 20_000 },
    { kind: "wait", waitMs: 21_000 },
  ]);
  expect(between({ askedMs: 5 * minute, waits: 3 })[0]).toEqual({ kind: "wait", waitMs: 5 * minute });
  // It said two seconds twice: the third time is not taken at its word.
  expect(between({ askedMs: 2_000, waits: 2 })[0]).toEqual({ kind: "wait", waitMs: 10_000 });
});

test("a wait that does not fit before the deadline or the bound is not begun", () => {
  const givenUp = [{ kind: "give_up" }, { kind: "give_up" }];
  expect(between({ askedMs: 61 * minute })).toEqual(givenUp);
  expect(between({ askedMs: 10_000, leftMs: 9_999 })).toEqual(givenUp);
  expect(between({ askedMs: 31 * minute })).toEqual(givenUp);
  expect(between({ askedMs: 2 * minute, waitedMs: 29 * minute })).toEqual(givenUp);
  expect(between({ waitedMs: 30 * minute })).toEqual(givenUp);
  expect(between({ leftMs: -1 })).toEqual(givenUp);
  expect(between({ askedMs: 1e300 })).toEqual(givenUp);
});

test("the last wait ends with the bound", () => {
  expect(between({ waits: 9, waitedMs: 30 * minute - 8_000 })[1]).toEqual({ kind: "wait", waitMs: 8_000 });
  expect(between({ askedMs: 9_800, leftMs: 10_000 })[1]).toEqual({ kind: "wait", waitMs: 10_000 });
});
