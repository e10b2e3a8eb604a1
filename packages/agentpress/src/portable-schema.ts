type Schema = Record<string, unknown>;

/** Their values are data, whatever it looks like. */
const holdsData: ReadonlySet<string> = new Set(["enum", "const", "default", "examples", "required"]);

/** Their keys are names, and only their values are schemas. */
const holdsNames: ReadonlySet<string> = new Set(["properties", "patternProperties", "$defs", "definitions"]);

/** Deeper ones are left as they are. */
const maxDepth = 64;

/** Look-arounds, and what refers back: OpenAI refuses every request with such a pattern. */
const isUnportable = (pattern: unknown): boolean =>
  typeof pattern === "string" && /\(\?<?[=!]|\\[1-9]|\\k</.test(pattern);

const isLeftOut = (key: string, value: unknown): boolean => {
  switch (key) {
    // Gemini refuses every request with it.
    case "propertyNames":
      return true;
    case "pattern":
      return isUnportable(value);
    // What any integer is, at the price of some tokens each.
    case "maximum":
      return value === Number.MAX_SAFE_INTEGER;
    case "minimum":
      return value === Number.MIN_SAFE_INTEGER;
    default:
      return false;
  }
};

const inside = (value: unknown, depth: number): unknown => {
  if (depth > maxDepth) return value;
  if (Array.isArray(value)) return value.map((one: unknown) => inside(one, depth + 1));
  return value !== null && typeof value === "object" ? portable(value as Schema, depth + 1) : value;
};

const named = (value: unknown, depth: number): unknown =>
  value !== null && typeof value === "object" && !Array.isArray(value)
    ? Object.fromEntries(Object.entries(value).map(([name, schema]) => [name, inside(schema, depth)]))
    : value;

const portable = (schema: Schema, depth: number): Schema => {
  if (depth > maxDepth) return schema;
  const kept = Object.entries(schema).filter(([key, value]) => !isLeftOut(key, value));
  return Object.fromEntries(
    kept.map(([key, value]) => {
      if (holdsData.has(key)) return [key, value];
      return [key, holdsNames.has(key) ? named(value, depth) : inside(value, depth)];
    }),
  );
};

/**
 * A JSON Schema without what a provider refuses a whole request for, because one of many tools says it. It only allows more than before: arguments are
 * checked against the schema as it was.
 */
export const portableSchema = <Value>(schema: Record<string, Value>): Record<string, Value> =>
  // What is left of it is made of its own values.
  portable(schema, 0) as Record<string, Value>;
