import { existsSync, globSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { expect, test } from "vitest";
import { z } from "zod";
import { ROOMS } from "./house/rooms.ts";

const root = resolve(import.meta.dirname, "..");
const read = (file: string): string => readFileSync(join(root, file), "utf8");
const documents = globSync(["*.md", "docs/**/*.md"], { cwd: root }).toSorted();

const all = (text: string, pattern: RegExp): string[] => [...text.matchAll(pattern)].map(([, found = ""]) => found);

/** What looks like a file or folder of this repository: `apps/…`, `packages/….ts`, with a suffix or a slash at its end. */
const filePattern = /`((?:apps|packages|scripts|bench|chaos|docs|supabase|docker)\/[\w./-]*(?:\.\w+|\/))`/g;

test.each(documents)("%s: the files it names exist, and its links lead somewhere", (document) => {
  const text = read(document);
  const named = all(text, filePattern).filter((path) => !existsSync(join(root, path)));
  const linked = all(text, /\]\((?!https?:|#)([^)#]+)[^)]*\)/g).filter(
    (target) => !existsSync(join(root, dirname(document), target)),
  );
  expect([...named, ...linked]).toEqual([]);
});

test.each(documents)("%s: the commands it names exist", (document) => {
  const { scripts } = z
    .object({ scripts: z.record(z.string(), z.string()) })
    .parse(JSON.parse(read("package.json")) as unknown);
  const commands = all(read(document), /\bnpm run ([a-z][\w:-]*)/g);
  expect(commands.filter((command) => scripts[command] === undefined)).toEqual([]);
});

test("the table of the README is the routes that the API has", () => {
  const routes = globSync("apps/api/src/routes/*.ts", { cwd: root, exclude: ["**/*.test.ts"] }).flatMap((file) =>
    [...read(file).matchAll(/\bmethod: "(\w+)",\s+path: "([^"]+)"/g)].map(
      ([, method = "", path = ""]) => `${method.toUpperCase()} ${path}`,
    ),
  );
  expect(routes.length).toBeGreaterThan(25);
  const [, section = ""] = read("README.md").split(/^## The API$/m);
  const [table = ""] = section.split(/^### /m);
  const listed = all(table, /`((?:GET|POST|PUT|PATCH|DELETE)[^`]*)`/g).flatMap((cell) => {
    const [methods = "", path = ""] = cell.split(/ (?=\/)/);
    return methods.split(", ").map((method) => `${method} ${path}`);
  });
  expect(listed.toSorted()).toEqual(routes.toSorted());
});

test("ARCHITECTURE.md has every room", () => {
  const rows = [...read("ARCHITECTURE.md").matchAll(/^\| ((?:`[\w/-]+`(?:, )?)+) \|.*\|$/gm)].map(
    ([, first = ""]) => first,
  );
  const named = rows.flatMap((cell) => all(cell, /`(?:apps\/)?([\w-]+)`/g));
  const missing = Object.keys(ROOMS).filter((room) => room !== "web" && !named.includes(room));
  expect(missing).toEqual([]);
});
