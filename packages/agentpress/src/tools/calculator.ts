import { z } from "zod";
import { evaluate } from "../arithmetic/expression.ts";
import { ArithmeticError, format } from "../arithmetic/fraction.ts";
import { ToolFailure } from "../errors.ts";
import { defineTool } from "../tool.ts";

export const tool = defineTool({
  name: "calculator",
  title: "Calculator",
  description:
    "Computes an arithmetic expression exactly and answers with the number alone. " +
    "Understands numbers, + - * / % (remainder) ^ (power) and parentheses. Use it for every calculation.",
  icon: "calculator",
  effect: "pure",
  schema: z.strictObject({
    expression: z.string().min(1).describe('For instance "(5 + 10) * 3" or "2 ^ 10 / 7".'),
  }),
  timeoutMs: 5_000,
  maxResultChars: 4_000,
  execute: async ({ expression }) => {
    try {
      return format(evaluate(expression));
    } catch (error) {
      if (error instanceof ArithmeticError) throw new ToolFailure(error.message, { cause: error });
      throw error;
    }
  },
});
