import { z } from "zod";
import { SandboxError } from "../port/errors.ts";

/**
 * What an agent answers, checked: it lives among the commands of a model, so its words are input like any other.
 */
export const WireEntry = z.object({
  name: z.string(),
  path: z.string(),
  type: z.enum(["file", "directory", "symlink", "other"]),
  size: z.number().nonnegative(),
  modified_ms: z.number(),
  mode: z.int().nonnegative(),
  etag: z.string(),
});
export const WireEntryOrNull = WireEntry.nullable();

export const WireList = z.object({ entries: z.array(WireEntry), truncated: z.boolean() });

export const WireSearch = z.object({
  matches: z.array(z.object({ path: z.string(), line: z.int().nullable(), text: z.string().nullable() })),
  truncated: z.boolean(),
});

export const WireCommandEnd = z.object({
  exit_code: z.int(),
  timed_out: z.boolean(),
  killed: z.int().nonnegative().nullable(),
  dropped: z.object({ stdout: z.int().nonnegative(), stderr: z.int().nonnegative() }),
  kept: z.object({ path: z.string(), bytes: z.int().nonnegative(), complete: z.boolean() }).nullable(),
  duration_ms: z.number().nonnegative(),
});

export const WireFailure = z.object({ reason: z.string(), message: z.string().max(10_000) });

/** @throws SandboxError if this is not such an answer */
export const parseAnswer = <Schema extends z.ZodType>(schema: Schema, answer: unknown): z.infer<Schema> => {
  const parsed = schema.safeParse(answer);
  if (parsed.success) return parsed.data;
  throw new SandboxError("sandbox_unavailable", "The sandbox answered nonsense.", { cause: parsed.error });
};
