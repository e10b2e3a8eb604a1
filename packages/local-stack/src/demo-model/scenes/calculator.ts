import { type Line, callTool, say } from "../answer.ts";
import { argumentName } from "../tool-arguments.ts";
import { readNumber, readOutcome } from "../tool-result.ts";
import { type Turn, offeredTool, resultsOf } from "../turn.ts";
import { type Step, readSum } from "./arithmetic.ts";

/**
 * "What is 5 + 10, then multiply by 3?": one call of `calculator` per step, each built on the number in the tool message before it,
 * and an answer built on the last one. The scene computes nothing, so a broken calculator breaks the answer, as it should.
 */
export function calculatorScene(turn: Turn): Line | null {
  const sum = readSum(turn.prompt);
  if (sum === null) return null;
  const tool = offeredTool(turn, "calculator");
  if (tool === null) {
    return say(
      "For this I would call the tool `calculator`, but it is not offered to me, and I compute nothing myself: " +
        "I am the scripted demo model.",
    );
  }
  const results = resultsOf(turn, "calculator");
  const numbers = results.map(readNumber);
  const last = results.at(-1);
  const result = numbers.at(-1) ?? null;
  if (last !== undefined && result === null) {
    return say(
      `The calculator did not give me a number. It said: “${readOutcome(last).text.trim()}” ` +
        "I compute nothing myself, so I have no answer.",
    );
  }
  const step = sum.steps[results.length - 1];
  const expression = result === null ? sum.first : step === undefined ? null : applyStep(result, step);
  if (expression !== null) {
    const before = result === null ? "Let me work that out: first" : `That gives ${result}. Next:`;
    return callTool(`${before} ${expression.replaceAll("*", "×")}.`, tool, {
      [argumentName(tool, WORDS) ?? "expression"]: expression,
    });
  }
  return say(explain(sum.first, sum.steps, numbers));
}

const WORDS = ["expression", "formula", "expr", "input", "query"] as const;

function applyStep(result: string, { operator, operand, reversed }: Step): string {
  // A negative result needs parentheses, or `-5 ^ 2` would become -(5 ^ 2).
  const number = result.startsWith("-") ? `(${result})` : result;
  return reversed ? `${operand} ${operator} ${number}` : `${number} ${operator} ${operand}`;
}

function explain(first: string, steps: readonly Step[], numbers: readonly (string | null)[]): string {
  const lines = [`${first} = ${numbers[0]}`];
  for (const [index, step] of steps.entries()) {
    lines.push(`${applyStep(numbers[index] ?? "", step)} = ${numbers[index + 1]}`);
  }
  // Not `*`, which a renderer of Markdown would take for emphasis.
  return `${lines.join(", then ").replaceAll("*", "×")}. The answer is ${numbers.at(-1)}.`;
}
