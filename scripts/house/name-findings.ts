/** Names that say nothing about what is inside: a room, a folder, a file is named for its part of the domain. */
const EMPTY_NAMES = /^(utils?|helpers?|common|misc|shared|core)$/;

/** One sentence per path with a folder or file of an empty name. */
export function nameFindings(paths: Iterable<string>): string[] {
  return [...paths].flatMap((path) => {
    const empty = path.split("/").find((part) => EMPTY_NAMES.test(part.replace(/\.[a-z.]+$/, "")));
    return empty === undefined ? [] : [`${path}: "${empty}" does not say what is inside`];
  });
}
