import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import { chooseUidRange, hostUidOf } from "./host-uid.ts";

test("a range that nobody else hands out, where the namespace has it", () => {
  expect(chooseUidRange("         0          0 4294967295\n")).toEqual({ first: 1_900_000_000, count: 200_000_000 });
  expect(chooseUidRange("         0     100000      65536\n")).toEqual({ first: 20_000, count: 40_000 });
  expect(chooseUidRange("0 1000 1\n1 100000 65536\n")).toEqual({ first: 20_000, count: 40_000 });
  expect(chooseUidRange("0 1000 1\n")).toBeNull();
  expect(chooseUidRange("")).toBeNull();
});

test("the uid of a sandbox is always the same, inside the range, never 0", () => {
  const range = { first: 20_000, count: 40_000 };
  expect(hostUidOf(range, "2a7f7b6e-6d3e-4d5e-9a55-8f2f5b1f0d11")).toBe(
    hostUidOf(range, "2a7f7b6e-6d3e-4d5e-9a55-8f2f5b1f0d11"),
  );
  const uids = Array.from({ length: 500 }, () => hostUidOf(range, randomUUID()));
  expect(Math.min(...uids)).toBeGreaterThanOrEqual(20_000);
  expect(Math.max(...uids)).toBeLessThan(60_000);
  expect(new Set(uids).size).toBeGreaterThan(480);
});
