import { AppError, type ErrorCode, Problem } from "@cortex/contracts";
import type { z } from "@hono/zod-openapi";
import { appearanceOf } from "./error-response.ts";

/** A body that is answered. */
export const json = <Schema extends z.ZodType>(schema: Schema, description: string) => ({
  description,
  content: { "application/json": { schema } },
});

/** A body that is asked for. */
export const jsonBody = <Schema extends z.ZodType>(schema: Schema) => ({
  body: { required: true, content: { "application/json": { schema } } },
});

type ProblemResponse = { description: string; content: { "application/problem+json": { schema: typeof Problem } } };

/** What any call to a route behind `authenticate` may be answered. */
const always: readonly ErrorCode[] = ["unauthenticated", "validation_failed", "internal", "unavailable"];

/**
 * The refusals of a route for the published document, by status. Handlers throw them, so to the type of a route they are one default.
 */
export const problems = (...codes: ErrorCode[]): { default: ProblemResponse } => {
  const byStatus = Map.groupBy([...codes, ...always], (code) => appearanceOf(code).status);
  const responses = [...byStatus].map(([status, each]): [string, ProblemResponse] => [
    String(status),
    {
      description: each.map((code) => `\`${code}\``).join(", "),
      content: { "application/problem+json": { schema: Problem } },
    },
  ]);
  return Object.fromEntries(responses) as unknown as { default: ProblemResponse };
};

/** Callers prove who they are with a Supabase access token. The document adds `X-Account-Id` to routes that are so secured. */
export const secured = [{ bearer: [] as string[] }];

/** A route whose POST creates: the document adds `Idempotency-Key` to it. */
export const creates = { "x-idempotent": true } as const;

/** A thing that exists for this caller. @throws AppError `not_found`, the same for what is foreign and what is not there */
export const found = <Thing>(thing: Thing | null, what: string): Thing => {
  if (thing === null) throw new AppError("not_found", `There is no such ${what}.`);
  return thing;
};
