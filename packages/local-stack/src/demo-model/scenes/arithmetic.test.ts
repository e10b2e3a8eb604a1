import { expect, test } from "vitest";
import { readSum } from "./arithmetic.ts";

/** A sum as one line: the expression, then each step with `_` for the result before it. */
function read(prompt: string): string | null {
  const sum = readSum(prompt);
  if (sum === null) return null;
  const steps = sum.steps.map(({ operator, operand, reversed }) =>
    reversed ? `${operand} ${operator} _` : `_ ${operator} ${operand}`,
  );
  return [sum.first, ...steps].join(" | ");
}

test.each([
  ["What is 5 + 10, then multiply by 3?", "5 + 10 | _ * 3"],
  ["what's 5+10,then multiply it by 3", "5 + 10 | _ * 3"],
  ["What is 5 plus 10, and then divide the result by 3, then subtract 1?", "5 + 10 | _ / 3 | _ - 1"],
  ["How much is 12 × 12?", "12 * 12"],
  ["10/4", "10 / 4"],
  ["-5 + 3", "-5 + 3"],
  ["What is 5 - -3?", "5 - -3"],
  ["What is 1,000 + 2,500.50?", "1000 + 2500.50"],
  ["Compute (2 + 3) * 4, then minus 6", "(2 + 3) * 4 | _ - 6"],
  ["What is 2 to the power of 8, then take away 6?", "2 ^ 8 | _ - 6"],
  ["Subtract 3 from 10, then multiply by 2", "10 - 3 | _ * 2"],
  ["Multiply 6 by 7 and then subtract 2 from it", "6 * 7 | _ - 2"],
  ["Divide 9 by 3, subtract it from 10", "9 / 3 | 10 - _"],
  ["What is 17 modulo 5?", "17 % 5"],
  ["What is 3 x 4?", "3 * 4"],
  ["5 + 10 times 2", "5 + 10 * 2"],
])("%s", (prompt, expected) => {
  expect(read(prompt)).toBe(expected);
});

test.each([
  "Hello",
  "What happened on 2024-05-01?",
  "See pages 5-10 of the report",
  "Call 555-1234",
  "What is 5?",
  "My invoice is overdue by 3 days, what now?",
  "",
])("no sum in: %s", (prompt) => {
  expect(read(prompt)).toBeNull();
});
