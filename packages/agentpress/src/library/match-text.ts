import { HelperError } from "./helper-error.ts";

export interface TextMatch {
  /** From 1. */
  line: number;
  text: string;
  groups: (string | null)[];
}

/** Characters of one match that are shown. */
const maxMatchChars = 500;

const compile = (pattern: string, flags: string): RegExp => {
  try {
    return new RegExp(pattern, `${flags}gu`);
  } catch (error) {
    throw new HelperError(`The pattern is no regular expression: ${error instanceof Error ? error.message : ""}`);
  }
};

/**
 * All matches of a regular expression (JavaScript, with the flag u). May take for ever: run it where it can be ended.
 * @param flags of `i`, `m`, `s`
 * @param limit matches that are returned; all are counted
 */
export const matchText = ({
  text,
  pattern,
  flags,
  limit,
}: {
  text: string;
  pattern: string;
  flags: string;
  limit: number;
}): { count: number; matches: TextMatch[] } => {
  const matches: TextMatch[] = [];
  let count = 0;
  let line = 1;
  let at = 0;
  for (const match of text.matchAll(compile(pattern, flags))) {
    count += 1;
    if (matches.length >= limit) continue;
    for (; at < match.index; at += 1) if (text.charCodeAt(at) === 10) line += 1;
    const [whole, ...groups] = match;
    matches.push({
      line,
      text: whole.slice(0, maxMatchChars),
      groups: groups.map((group: string | undefined) => group?.slice(0, maxMatchChars) ?? null),
    });
  }
  return { count, matches };
};
