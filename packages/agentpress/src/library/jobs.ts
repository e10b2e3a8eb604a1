import { compareJson } from "./compare-json.ts";
import { compareTexts } from "./compare-texts.ts";
import { checkJson, queryJson } from "./json.ts";
import { matchText } from "./match-text.ts";

/**
 * Helpers whose cost nobody can tell from the size of their input: a regular expression, a query or a schema of a model may take for ever,
 * and so may a comparison. Pure functions over what can be cloned; they throw a `HelperError` for input that cannot be worked on.
 */
export const jobs = { compareJson, compareTexts, checkJson, queryJson, matchText };

export type JobName = keyof typeof jobs;
export type JobInput<Name extends JobName> = Parameters<(typeof jobs)[Name]>[0];
export type JobOutput<Name extends JobName> = ReturnType<(typeof jobs)[Name]>;

/** What the thread says. */
export type JobAnswer<Name extends JobName> = { ok: true; value: JobOutput<Name> } | { ok: false; problem: string };
