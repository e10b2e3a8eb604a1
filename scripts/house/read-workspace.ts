import { globSync, readFileSync } from "node:fs";
import { dirname } from "node:path";
import type { Manifest, Workspace } from "./import-findings.ts";

const ROOTS = "{packages,apps,bench,chaos,scripts}";

/** Manifests and sources of the workspace in the current directory. Throws on a package.json that is none. */
export function readWorkspace(): Workspace {
  const manifests = new Map<string, Manifest>([["", readManifest("package.json")]]);
  for (const path of find("{packages,apps}/*/package.json")) manifests.set(dirname(path), readManifest(path));
  const sources = new Map<string, string>();
  for (const path of find(`{${ROOTS}/**/,}*.{ts,tsx,mts}`)) sources.set(path, readFileSync(path, "utf8"));
  return { manifests, sources };
}

const find = (pattern: string): string[] =>
  globSync(pattern, { exclude: ["**/node_modules/**", "**/dist/**"] })
    .map((path) => path.replaceAll("\\", "/"))
    .toSorted();

function readManifest(path: string): Manifest {
  const value: unknown = JSON.parse(readFileSync(path, "utf8"));
  if (!isManifest(value)) throw new Error(`${path} has no name`);
  return value;
}

/** npm refuses a manifest whose dependencies are of another type, so the name is what is left to look at. */
const isManifest = (value: unknown): value is Manifest =>
  typeof value === "object" && value !== null && "name" in value && typeof value.name === "string";
