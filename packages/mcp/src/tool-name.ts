import { createHash } from "node:crypto";

/** What a model may call a tool. */
const maxChars = 64;

const plain = (text: string): string =>
  text
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, "_")
    .replaceAll(/^_|_$/g, "");

const mark = (tool: string): string => createHash("sha256").update(tool).digest("hex").slice(0, 6);

/**
 * Gives the tools of a server the names by which models call them: `mcp_<server>_<tool>`. A tool that has a name keeps it, because settings and
 * conversations use it; where two would be the same, or one is too long, a mark is added that follows from the tool's own name.
 * @param server letters and digits only, so that no two servers can have the same tool
 * @param given names given before, by the server's own
 * @returns by the server's own name
 */
export const nameTools = (
  server: string,
  tools: readonly string[],
  given: ReadonlyMap<string, string>,
): Map<string, string> => {
  const names = new Map(tools.flatMap((tool) => [[tool, given.get(tool)] as const]).filter(([, name]) => name));
  const taken = new Set(names.values());
  for (const tool of tools.toSorted()) {
    if (names.has(tool)) continue;
    const wish = `mcp_${server}_${plain(tool) || "tool"}`;
    let name = wish;
    // A server that knows how marks are made may have taken one, too.
    for (let round = 0; name.length > maxChars || taken.has(name); round += 1)
      name = `${wish.slice(0, maxChars - 7)}_${mark(tool.padEnd(tool.length + round))}`;
    names.set(tool, name);
    taken.add(name);
  }
  return new Map([...names].flatMap(([tool, name]) => (name === undefined ? [] : [[tool, name] as const])));
};
