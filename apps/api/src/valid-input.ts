import { AppError } from "@cortex/contracts";
import type { Hook } from "@hono/zod-openapi";
import type { z } from "zod";
import type { ApiContext } from "./request-context.ts";

/** Where in the request the framework looked. */
type Target = "json" | "form" | "query" | "param" | "header" | "cookie";

/**
 * What happens after a part of a request was held against its schema: nothing, or one kind of failure for all routes. An id in the path that is
 * none names nothing: 404, like any other thing that does not exist.
 */
export const refuseInvalidInput: Hook<unknown, ApiContext, string, void> = (result) => {
  const target: Target = result.target;
  if (!result.success) {
    if (target === "param") throw new AppError("not_found", "There is nothing at this address.");
    throw invalid(result.error.issues.flatMap((issue) => faultsOf(target, issue)));
  }
  const place = firstNul(result.data, pointer(target, []));
  // Postgres cannot store it in a text, and what is not stored must not be accepted.
  if (place !== null) throw invalid([{ pointer: place, detail: "must not contain the character NUL" }]);
};

/** More would only be an answer as large as what was sent. */
const mostFaults = 20;
const longestPointer = 200;

type Fault = { pointer: string; detail: string };

const invalid = (faults: readonly Fault[]): AppError => {
  const errors = faults
    .slice(0, mostFaults)
    .map(({ pointer, detail }) => ({ pointer: pointer.slice(0, longestPointer), detail }));
  const sentences = errors.map(({ pointer, detail }) => `${pointer === "" ? "the body" : pointer}: ${detail}`);
  return new AppError("validation_failed", sentences.join("; "), { errors });
};

/** A JSON pointer (RFC 6901) into the body, or `/query/…` and `/headers/…` for the other parts. */
const pointer = (target: Target, path: readonly PropertyKey[]): string => {
  const parts = path.map((part) => `/${escaped(String(part))}`).join("");
  if (target === "json" || target === "form") return parts;
  return `/${target === "header" ? "headers" : target}${parts}`;
};

const escaped = (part: string): string => part.replaceAll("~", "~0").replaceAll("/", "~1");

type Issue = z.core.$ZodIssue;

const faultsOf = (target: Target, issue: Issue): Fault[] => {
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) => ({
      pointer: pointer(target, [...issue.path, key]),
      detail: "is not a known field",
    }));
  }
  return [{ pointer: pointer(target, issue.path), detail: issue.message }];
};

const firstNul = (value: unknown, place: string): string | null => {
  if (typeof value === "string") return value.includes("\0") ? place : null;
  if (value === null || typeof value !== "object") return null;
  for (const [key, item] of Object.entries(value)) {
    const found = key.includes("\0") ? place : firstNul(item, `${place}/${escaped(key)}`);
    if (found !== null) return found;
  }
  return null;
};
