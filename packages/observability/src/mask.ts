/** Replaces secrets in a text. */
export type Mask = (text: string) => string;

const masked = "[masked]";

/** Shapes that only secrets have, whoever wrote them. Each is a prefix and a run of one class of characters: linear time on any text. */
const shapes: readonly RegExp[] = [
  /\b(?:Bearer|Basic)\s+[\w.~+/-]{16,}=*/gi,
  /\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,}/g,
  /\b(?:sk|pk|rk|tvly|lsv2|ghp|gho|ghs|glpat|xox[abprs])[-_][\w-]{16,}/g,
  /\b(?:AKIA|ASIA)[0-9A-Z]{16}\b/g,
  /-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----[\w\s+/=]{0,10000}(?:-----END [A-Z ]{0,30}PRIVATE KEY-----)?/g,
];

/** A shorter value would also be found where it means something else. */
const leastSecret = 8;

/**
 * Masks what must not leave the house: the secrets that this process knows, by value, and whatever looks like a secret.
 * @param known values of secrets; those of fewer than 8 characters are left to their shape
 */
export const createMask = (known: readonly (string | undefined)[]): Mask => {
  const values = known.filter((value) => value !== undefined && value.length >= leastSecret);
  // What is part of another value comes after it.
  const longestFirst = [...new Set(values)].toSorted((left, right) => (right?.length ?? 0) - (left?.length ?? 0));
  return (text) => {
    let result = text;
    for (const value of longestFirst) if (value) result = result.replaceAll(value, masked);
    for (const shape of shapes) result = result.replace(shape, masked);
    return result;
  };
};
