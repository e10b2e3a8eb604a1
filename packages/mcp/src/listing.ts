import { createHash } from "node:crypto";
import { readInputSchema } from "./input-schema.ts";

/** A tool as its server declares it. The hash stands for the whole of it: another hash is another tool. */
export interface McpToolDeclaration {
  name: string;
  description: string;
  inputSchema: Record<string, unknown>;
  /** The same as models get it. */
  parameters: Record<string, unknown>;
  hash: string;
}

export interface McpListing {
  /** By name, each name once. */
  tools: McpToolDeclaration[];
  /** What the server lists and nobody can use, and why. */
  refused: { name: string; reason: string }[];
}

/** More than a model can make use of, and than a prompt has room for. */
const maxTools = 64;
const maxNameChars = 128;
const maxDescriptionChars = 4_000;
/** Of all tools together: each prompt of a run carries them. */
const maxListingChars = 256_000;

/** JSON with the keys of every object in order, so that the same declaration has the same text. */
const canonical = (value: unknown): string => {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "null";
  const entries = Object.entries(value).toSorted(([left], [right]) => (left < right ? -1 : 1));
  return `{${entries.map(([key, each]) => `${JSON.stringify(key)}:${canonical(each)}`).join(",")}}`;
};

const hashOf = (tool: Omit<McpToolDeclaration, "hash" | "parameters">): string =>
  createHash("sha256")
    .update(canonical([tool.name, tool.description, tool.inputSchema]))
    .digest("hex");

/** Stands for a whole list. */
export const listingHash = (tools: readonly Pick<McpToolDeclaration, "name" | "hash">[]): string =>
  createHash("sha256")
    .update(canonical(tools.map(({ name, hash }) => [name, hash])))
    .digest("hex");

/** What we keep of the tools that a server lists: bounded, checked, hashed. */
export const readListing = (listed: readonly unknown[]): McpListing => {
  const listing: McpListing = { tools: [], refused: [] };
  const names = new Set<string>();
  let chars = 0;
  for (const each of listed) {
    const tool = typeof each === "object" && each !== null ? (each as Record<string, unknown>) : {};
    const name = typeof tool["name"] === "string" ? tool["name"] : "";
    const refuse = (reason: string) => listing.refused.push({ name: name.slice(0, maxNameChars), reason });
    if (name === "" || name.length > maxNameChars) {
      refuse(`its name must have 1 to ${maxNameChars} characters`);
    } else if (names.has(name)) {
      refuse("there is another tool of this name");
    } else if (listing.tools.length >= maxTools) {
      refuse(`a server may have at most ${maxTools} tools`);
    } else {
      const schema = readInputSchema(tool["inputSchema"]);
      if (!schema.ok) {
        refuse(schema.problem);
        continue;
      }
      const description = typeof tool["description"] === "string" ? tool["description"] : "";
      const declared = {
        name,
        description: description.slice(0, maxDescriptionChars),
        inputSchema: tool["inputSchema"] as Record<string, unknown>,
      };
      chars += JSON.stringify(declared).length;
      if (chars > maxListingChars) {
        refuse("the tools of this server are too long together");
        continue;
      }
      names.add(name);
      listing.tools.push({ ...declared, parameters: schema.parameters, hash: hashOf(declared) });
    }
    if (listing.refused.length >= maxTools) break;
  }
  listing.tools.sort((left, right) => (left.name < right.name ? -1 : 1));
  return listing;
};
