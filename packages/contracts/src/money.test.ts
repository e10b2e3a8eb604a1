import * as fc from "fast-check";
import { expect, test } from "vitest";
import {
  addUsd,
  canonicalUsd,
  compareUsd,
  negateUsd,
  subtractUsd,
  tokenCostUsd,
  unitsToUsd,
  usdToUnits,
} from "./money.ts";
import { Usd } from "./values.ts";

/** What the wire and the columns can carry: ten places before the point, ten behind it. */
const units = fc.bigInt({ min: -(10n ** 20n) + 1n, max: 10n ** 20n - 1n });
const usd = units.map(unitsToUsd);

test("units and decimal strings are the same amounts, and every string is one that the wire takes", () => {
  fc.assert(
    fc.property(units, (each) => {
      const text = unitsToUsd(each);
      expect(usdToUnits(text)).toBe(each);
      expect(Usd.safeParse(text).success).toBe(true);
    }),
  );
});

test("the canonical form drops trailing zeros and the sign of nothing", () => {
  expect(canonicalUsd("0.0500000000")).toBe("0.05");
  expect(canonicalUsd("5.0000000000")).toBe("5");
  expect(canonicalUsd("100")).toBe("100");
  expect(canonicalUsd("-0.00")).toBe("0");
  expect(canonicalUsd("-0.0000000001")).toBe("-0.0000000001");
});

test("addition is exact where floats are not", () => {
  expect(addUsd("0.1", "0.2")).toBe("0.3");
  expect(addUsd()).toBe("0");
  fc.assert(
    fc.property(usd, usd, usd, (a, b, c) => {
      expect(addUsd(a, b, c)).toBe(addUsd(c, addUsd(b, a)));
      expect(subtractUsd(addUsd(a, b), b)).toBe(a);
      expect(addUsd(a, negateUsd(a))).toBe("0");
    }),
  );
});

test("comparison is by amount, not by text", () => {
  expect(compareUsd("10", "9.99")).toBe(1);
  expect(compareUsd("-1", "0.5")).toBe(-1);
  expect(compareUsd("0.50", "0.5")).toBe(0);
  fc.assert(
    fc.property(units, units, (a, b) => {
      expect(compareUsd(unitsToUsd(a), unitsToUsd(b))).toBe(a < b ? -1 : Number(a > b));
    }),
  );
});

test("tokens cost their price, and a fraction of the smallest unit is rounded up", () => {
  expect(tokenCostUsd(1_000_000, "2.5")).toBe("2.5");
  expect(tokenCostUsd(17, "0.15")).toBe("0.00000255");
  expect(tokenCostUsd(0, "15")).toBe("0");
  expect(tokenCostUsd(1, "0.00001")).toBe("0.0000000001");
});

test.for(["", "1e3", "1.", ".5", "1,5", "0.12345678901", "NaN", " 1"])("'%s' is no amount", (text) => {
  expect(() => usdToUnits(text)).toThrow(TypeError);
});
