import type { ToolCallRequest, ToolInfo } from "@cortex/contracts";
import { z } from "zod";

/** As deep as the arguments that a model may write. */
const maxDepth = 64;
const mostProblems = 20;

const isDeeperThan = (value: unknown, depth: number): boolean =>
  typeof value === "object" &&
  value !== null &&
  (depth === 0 || Object.values(value).some((item) => isDeeperThan(item, depth - 1)));

const isWellFormed = (value: unknown): boolean => {
  if (typeof value === "string") return value.isWellFormed();
  if (typeof value !== "object" || value === null) return true;
  return Object.entries(value).every(([key, item]) => key.isWellFormed() && isWellFormed(item));
};

/** A number beyond a double is read as infinite, and there is no such JSON. */
const isFinite = (value: unknown): boolean => {
  if (typeof value === "number") return Number.isFinite(value);
  return typeof value !== "object" || value === null || Object.values(value).every(isFinite);
};

/**
 * Looks at arguments that a person wrote in the place of a model's. What could not be stored as it is, is refused instead of changed: what the
 * person has seen is what must run. The tool itself looks again before it acts; of a tool that is in no catalogue here it is the only one
 * who can.
 * @returns what is wrong, or null
 */
export const createArgumentsCheck = (
  tools: readonly Pick<ToolInfo, "name" | "parameters">[],
): ((name: string, args: ToolCallRequest["arguments"]) => string | null) => {
  const schemas = new Map<string, z.ZodType>();
  for (const { name, parameters } of tools) schemas.set(name, z.fromJSONSchema(parameters));

  return (name, args) => {
    if (isDeeperThan(args, maxDepth)) return `must not be nested deeper than ${maxDepth} levels`;
    if (!isWellFormed(args)) return "must not contain half of a surrogate pair";
    if (!isFinite(args)) return "must not contain a number beyond 64-bit floating point";
    const parsed = schemas.get(name)?.safeParse(args);
    if (parsed === undefined || parsed.success) return null;
    const problems = parsed.error.issues
      .slice(0, mostProblems)
      .map(({ path, message }) => `${path.map(String).join(".")} ${message}`.trim());
    return `do not fit the tool's schema: ${problems.join("; ")}`.slice(0, 2_000);
  };
};
