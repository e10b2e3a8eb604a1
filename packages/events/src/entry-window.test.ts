import { expect, test } from "vitest";
import { createEntryWindow, frameEntries } from "./entry-window.ts";

const range = (from: number, to: number) => Array.from({ length: to - from }, (_, index) => `entry ${from + index}`);

test("it gives what it holds and nothing else", () => {
  const window = createEntryWindow();
  window.beginAt(10);
  expect(window.from(10)).toBe(null);
  window.add(10, range(10, 13));
  window.add(13, range(13, 15));
  expect(window.from(9)).toBe(null);
  expect(window.from(10)).toEqual(range(10, 15));
  expect(window.from(14)).toEqual(range(14, 15));
  expect(window.from(15)).toBe(null);
});

test("what it has already is not added twice; what does not join up begins it anew", () => {
  const window = createEntryWindow();
  window.beginAt(0);
  window.add(0, range(0, 5));
  window.add(3, range(3, 7));
  window.add(2, range(2, 4));
  expect(window.from(0)).toEqual(range(0, 7));
  window.add(9, range(9, 11));
  expect(window.from(6)).toBe(null);
  expect(window.from(9)).toEqual(range(9, 11));
});

test("it forgets the oldest beyond its bound, in entries and in size", () => {
  const window = createEntryWindow();
  window.beginAt(0);
  for (let seq = 0; seq < 5_000; seq += 100) window.add(seq, range(seq, seq + 100));
  expect(window.from(3_999)).toBe(null);
  expect(window.from(4_000)).toHaveLength(frameEntries);
  expect(window.from(4_990)).toEqual(range(4_990, 5_000));

  const large = "x".repeat(100_000);
  window.add(5_000, [large, large, large, "last"]);
  expect(window.from(5_000)).toBe(null);
  expect(window.from(5_001)).toEqual([large]);
  expect(window.from(5_003)).toEqual(["last"]);
});
