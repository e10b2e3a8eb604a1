import { isDeepStrictEqual } from "node:util";
import { type AgentVersion, Json, type VersionComparison, versionFields } from "@cortex/contracts";
import { diffLines } from "diff";

/**
 * Beyond so many lines that came or went, two texts have little in common, and a difference of them tells nobody anything. The work grows with the
 * square of it: 500 are about 20 ms, in which the process serves nobody else.
 */
const mostChangedLines = 500;
/** For texts that repeat themselves, where the work grows with their length as well. Ten times the ordinary worst case. */
const timeoutMs = 200;

const differenceOf = (from: string, to: string): VersionComparison["instructions"] => {
  if (from === to) return null;
  const parts = diffLines(from, to, { maxEditLength: mostChangedLines, timeout: timeoutMs });
  return (
    parts?.map(({ added, removed, value }) => ({
      kind: added ? ("added" as const) : removed ? ("removed" as const) : ("same" as const),
      text: value,
    })) ?? null
  );
};

/** What differs between two versions of an agent, field by field. The order of keys says nothing, the order of names in a list does. */
export const compareVersions = (from: AgentVersion, to: AgentVersion): VersionComparison => ({
  from: from.version,
  to: to.version,
  changes: versionFields
    .filter((field) => !isDeepStrictEqual(from[field], to[field]))
    .map((field) => ({ field, from: Json.parse(from[field]), to: Json.parse(to[field]) })),
  instructions: differenceOf(from.instructions, to.instructions),
});
