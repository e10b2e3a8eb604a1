import type { XmlTags } from "./syntax.ts";

export type TagKind = "call" | "arg" | "close" | "result";

/** A tag that may begin somewhere; of an opening tag only the beginning, its attributes follow. */
export type Candidate = readonly [kind: TagKind, tag: string];

export interface Candidates {
  /** Before the first call. */
  text: readonly Candidate[];
  /** Behind one. */
  afterCall: readonly Candidate[];
  /** Between the arguments of one. */
  call: readonly Candidate[];
}

/** Where models that go on talking for the tool begin to do so. */
const inventedResults = ["<result>", "<tool_result", "<function_result", "<tool_response", "<tool_output"];

export const candidatesOf = (tags: XmlTags): Candidates => {
  const call: Candidate = ["call", tags.openCall];
  return {
    text: [call],
    afterCall: [call, ["result", tags.openResult], ...inventedResults.map((tag): Candidate => ["result", tag])],
    call: [["arg", tags.openArg], ["close", tags.closeCall], call],
  };
};

/**
 * What begins at the `<` at `at`. The tag of a call goes on with white space, `/` or `>`, that of an argument may have a longer mark. `maybe`: it takes
 * more text to tell. Null: nothing of ours.
 */
export const look = (
  input: string,
  at: number,
  candidates: readonly Candidate[],
): { kind: TagKind; length: number } | "maybe" | null => {
  let maybe: "maybe" | null = null;
  for (const [kind, tag] of candidates) {
    if (input.startsWith(tag, at)) {
      const next = input[at + tag.length];
      if (kind !== "call") return { kind, length: tag.length };
      if (next === undefined) maybe = "maybe";
      else if (/[\s/>]/.test(next)) return { kind, length: tag.length };
    } else if (input.length - at < tag.length && tag.startsWith(input.slice(at))) maybe = "maybe";
  }
  return maybe;
};
