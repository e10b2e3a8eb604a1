import fc from "fast-check";
import { expect, test } from "vitest";
import { evaluate } from "./expression.ts";
import { ArithmeticError, format } from "./fraction.ts";

const value = (expression: string): string => format(evaluate(expression));

test.each([
  ["5 + 10", "15"],
  ["15 * 3", "45"],
  ["(7 + 8) * 4", "60"],
  ["0.1 + 0.2", "0.3"],
  ["1.10", "1.1"],
  ["2 - 5", "-3"],
  ["2 + 3 * 4 - 6 / 2", "11"],
  ["2 ^ 3 ^ 2", "512"],
  ["-2 ^ 2", "-4"],
  ["(-2) ^ 2", "4"],
  ["2 ^ -2", "0.25"],
  ["2 ** 10", "1024"],
  ["9 ^ 0.5", "3"],
  ["2 ^ 0.5", "1.4142135623731"],
  ["(-1) ^ 1000000001", "-1"],
  ["0 ^ 0", "1"],
  ["7 % 3", "1"],
  ["-7 % 3", "-1"],
  ["5.5 % 2", "1.5"],
  ["--5", "5"],
  ["2 × 3 ÷ 4 − 1", "0.5"],
  ["1e3 + 2.5E-2", "1000.025"],
  [".5 + 5.", "5.5"],
  ["1 / 3", "0.33333333333333333333"],
  ["2 / 3", "0.66666666666666666667"],
  ["100 / 3", "33.333333333333333333"],
  ["1 / 3000", "0.00033333333333333333333"],
  ["-1 / 3", "-0.33333333333333333333"],
  ["1 / 3 * 3", "1"],
  ["10 ^ 30 + 1", "1000000000000000000000000000001"],
  ["0 * -5", "0"],
  ["1 / 8", "0.125"],
  ["  3  ", "3"],
])("%s = %s", (expression, result) => {
  expect(value(expression)).toBe(result);
});

test.each([
  ["1 / 0", "Division by zero."],
  ["5 % (2 - 2)", "Division by zero."],
  ["0 ^ -1", "Division by zero."],
  ["(-1) ^ 0.5", "no real result"],
  ["2 +", "ends where a number is expected"],
  ["", "ends where a number is expected"],
  ["(1 + 2", "parenthesis at position 1 is not closed"],
  ["1 2", "Unexpected number at position 3"],
  ["1 + 2)", 'Unexpected ")" at position 6'],
  ["* 3", 'Unexpected "*" at position 1'],
  ["50%", "ends where a number is expected"],
  ["1,000", 'Unexpected "," at position 2'],
  ["process.exit()", 'Unexpected "p" at position 1'],
  ["constructor", 'Unexpected "c"'],
  ["9 ^ 9 ^ 9", "more than 500 digits"],
  ["9 ^ 999999", "more than 500 digits"],
  ["1e999", "more than 500 digits"],
  ["1.5 ^ 99999", "more than 500 digits"],
  ["(".repeat(500) + "1" + ")".repeat(400), "nested deeper"],
  ["-".repeat(900) + "1", "nested deeper"],
  ["1+".repeat(600) + "1", "longer than 1000 characters"],
])("%s is refused", (expression, reason) => {
  expect(() => evaluate(expression)).toThrow(ArithmeticError);
  expect(() => evaluate(expression)).toThrow(reason);
});

test("whole numbers are exact, whatever their size", () => {
  const whole = fc.bigInt({ min: -(10n ** 60n), max: 10n ** 60n });
  fc.assert(
    fc.property(whole, whole, (left, right) => {
      expect(value(`(${left}) + (${right})`)).toBe(String(left + right));
      expect(value(`(${left}) - (${right})`)).toBe(String(left - right));
      expect(value(`(${left}) * (${right})`)).toBe(String(left * right));
      fc.pre(right !== 0n);
      expect(value(`(${left}) % (${right})`)).toBe(String(left % right));
      expect(value(`((${left}) * (${right})) / (${right})`)).toBe(String(left));
    }),
  );
});

test("decimals agree with floating point to its precision", () => {
  const decimal = fc.double({ min: -1e6, max: 1e6, noNaN: true }).map((number) => number.toFixed(6));
  fc.assert(
    fc.property(decimal, decimal, (left, right) => {
      fc.pre(Number(right) !== 0);
      const result = Number(value(`(${left}) / (${right})`));
      expect(Math.abs(result - Number(left) / Number(right))).toBeLessThanOrEqual(Math.abs(result) * 1e-12);
    }),
  );
});

/** The value, or the class of what was thrown. */
const outcome = (text: string): unknown => {
  try {
    return value(text);
  } catch (error) {
    return error instanceof ArithmeticError ? "refused" : error;
  }
};

test("any text is either a number or a named refusal, and soon", () => {
  const symbols = fc.string({ unit: fc.constantFrom(...Array.from("0123456789.+-*/%^()eE ")), maxLength: 1_000 });
  fc.assert(
    fc.property(fc.oneof(symbols, fc.string({ unit: "binary", maxLength: 50 })), (text) => {
      const startedAt = performance.now();
      expect(outcome(text)).toMatch(/^(-?\d+(\.\d+)?|refused)$/);
      expect(performance.now() - startedAt).toBeLessThan(500);
    }),
    { numRuns: 500 },
  );
});
