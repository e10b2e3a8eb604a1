import { createTwoFilesPatch } from "diff";
import { HelperError } from "./helper-error.ts";

/** Milliseconds after which two texts count as too different to be compared; below the limit of the thread. */
const maxCompareMs = 5_000;

/** The differences of two texts by lines, as a unified diff; empty if there are none. */
export const compareTexts = ({ left, right }: { left: string; right: string }): string => {
  if (left === right) return "";
  const patch = createTwoFilesPatch("left", "right", left, right, "", "", { context: 3, timeout: maxCompareMs });
  if (patch === undefined) throw new HelperError("The texts are too different to be compared.");
  return patch.replace(/^=+\n/, "");
};
