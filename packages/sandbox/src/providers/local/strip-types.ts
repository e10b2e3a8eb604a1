import { readFileSync, writeFileSync } from "node:fs";
import { stripTypeScriptTypes } from "node:module";
import { join } from "node:path";
import { argv } from "node:process";

/**
 * Turns the agent's TypeScript into JavaScript: `strip-types.ts <from> <to> <file>...`. A program of its own, because Node says on
 * stderr, in every process that asks it to do this, that the function is experimental.
 */
const [, , from = "", to = "", ...names] = argv;

/** Imports between the agent's own files; types-only imports are gone by then. */
const ownImport = /(from\s+"\.\/[a-z-]+)\.ts"/g;

for (const name of names) {
  const stripped = stripTypeScriptTypes(readFileSync(join(from, name), "utf8"));
  writeFileSync(join(to, name.replace(/\.ts$/, ".mjs")), stripped.replaceAll(ownImport, '$1.mjs"'), { mode: 0o644 });
}
