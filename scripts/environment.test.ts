import { globSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { expect, test } from "vitest";
import { z } from "zod";

const root = resolve(import.meta.dirname, "..");
const example = readFileSync(join(root, ".env.example"), "utf8");

type Entry = { name: string; about: string; value: string };

/** The variables under a heading that names `file`, each with the comment above it. */
function section(file: string): Entry[] {
  const part = example.split(/^# === /m).find((text) => text.split("\n")[0]?.includes(`(${file})`)) ?? "";
  return [...part.matchAll(/^# (.+)\n#(\w+)=(.*)$/gm)].map(([, about = "", name = "", value = ""]) => ({
    name,
    about,
    value,
  }));
}

/** An environment schema, from a file that exports nothing to other rooms: hence the computed path. */
async function schema(file: string, name: string): Promise<z.ZodObject> {
  const module: unknown = await import(pathToFileURL(join(root, file)).href);
  const value: unknown = typeof module === "object" && module !== null ? Reflect.get(module, name) : undefined;
  if (value instanceof z.ZodObject) return value;
  throw new Error(`${file} exports no schema ${name}`);
}

/** A default as it stands in an environment. */
const asText = (value: unknown): string => {
  if (value === undefined) return "";
  if (typeof value === "string") return value;
  return Array.isArray(value) ? value.join(",") : JSON.stringify(value);
};

test.each([
  ["apps/api/src/env.ts", "ApiEnv"],
  ["apps/worker/src/env.ts", "WorkerEnv"],
])("%s: every variable with what it is about and its default, and no other", async (file, name) => {
  const { shape } = await schema(file, name);
  const entries = Object.entries(shape).map(([variable, type]): Entry => {
    const { description } = z.globalRegistry.get(type) ?? {};
    const unset = z.safeParse(type, undefined);
    const needed = unset.success ? "" : " (needed)";
    return { name: variable, about: `${description ?? "?"}${needed}`, value: asText(unset.data) };
  });
  expect(section(file)).toEqual(entries);
});

/** Of the system, of npm, or of a test. */
const notOurs = new Set(["PATH", "HOME", "INIT_CWD", "npm_lifecycle_event"]);

/** How sources that have no schema read a variable: `process.env["X"]`, `environment["X"]`, or a call that takes its name first. */
const reads =
  /(?:\benv|\benvironment)(?:\["(\w+)"\]|\.(\w+))|\b(?:text|set|wholeNumber|address|required|password)\(\s*"([A-Z]\w+)"/g;

/** A setting that stands in a table: `["API_PORT", 8000]`. */
const tabled = /\["([A-Z][A-Z_]+)", \d+\]/g;

function readSomewhere(): Set<string> {
  const files = globSync("{packages,bench,scripts}/**/*.{ts,mjs}", { cwd: root, exclude: ["**/node_modules/**"] });
  const sources = files.filter((file) => !/\.test\.ts$|\/testing\/|^packages\/testing\//.test(file));
  const names = new Set<string>();
  for (const file of sources) {
    const text = readFileSync(join(root, file), "utf8");
    const patterns = file === "packages/local-stack/src/settings.ts" ? [reads, tabled] : [reads];
    for (const pattern of patterns) {
      for (const [, ...found] of text.matchAll(pattern)) {
        const name = found.find((group) => group !== undefined) ?? "";
        if (/^[A-Z][A-Z0-9_]+$/.test(name) && !notOurs.has(name)) names.add(name);
      }
    }
  }
  return names;
}

test("what is read anywhere stands in the file, and what stands there is read", async () => {
  const schemas = await Promise.all([
    schema("apps/api/src/env.ts", "ApiEnv"),
    schema("apps/worker/src/env.ts", "WorkerEnv"),
    schema("packages/local-stack/src/auth/env.ts", "AuthEnv"),
  ]);
  const read = readSomewhere();
  expect(read.size).toBeGreaterThan(25);
  for (const { shape } of schemas) for (const name of Object.keys(shape)) read.add(name);
  const listed = new Set([...example.matchAll(/^#(\w+)=/gm)].map(([, name = ""]) => name));
  expect([...listed].toSorted()).toEqual([...read].toSorted());
});

test("a copy of the file changes nothing: every variable is commented out", () => {
  expect(example.split("\n").filter((line) => line !== "" && !line.startsWith("#"))).toEqual([]);
});
