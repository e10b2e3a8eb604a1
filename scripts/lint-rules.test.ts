import { execFile } from "node:child_process";
import { cp, mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";

/** A file that breaks one rule, and the rule. Each stands for a line of .oxlintrc.json that somebody might lose. */
const BREACHES: Readonly<Record<string, { source: string; rule: string }>> = {
  "packages/runs/src/floating.ts": {
    source: `const save = async (): Promise<void> => {};\nexport const run = (): void => {\n  save();\n};\n`,
    rule: "no-floating-promises",
  },
  "packages/runs/src/environment.ts": { source: `export const home = process.env.HOME;\n`, rule: "no-process-env" },
  "packages/runs/src/console.ts": { source: `console.log("here");\n`, rule: "no-console" },
  "packages/runs/src/empty-catch.ts": { source: `try {\n  Math.random();\n} catch {}\n`, rule: "no-empty" },
  "packages/runs/src/any.ts": { source: `export const x = (y: any): string => String(y);\n`, rule: "no-explicit-any" },
  "packages/runs/src/parsed.ts": {
    source: `export const x: string = JSON.parse("1");\n`,
    rule: "no-unsafe-assignment",
  },
  "packages/runs/src/non-null.ts": {
    source: `export const first = (list: string[]): string => list[0]!;\n`,
    rule: "no-non-null-assertion",
  },
  "packages/runs/src/ignored.ts": { source: `// @ts-ignore\nexport const x: string = 1;\n`, rule: "ban-ts-comment" },
  "packages/runs/src/default-export.ts": { source: `export default 1;\n`, rule: "no-default-export" },
  "packages/runs/src/camelCase.ts": { source: `export const x = 1;\n`, rule: "filename-case" },
  "packages/runs/src/long.ts": { source: `export const x = [\n${"1,\n".repeat(450)}];\n`, rule: "max-lines" },
  "packages/runs/src/thrown.ts": {
    source: `export const x = (): never => {\n  throw "no";\n};\n`,
    rule: "only-throw-error",
  },
  "packages/runs/src/unhandled-case.ts": {
    source: `export const x = (y: "a" | "b"): void => {\n  switch (y) {\n    case "a":\n      break;\n  }\n};\n`,
    rule: "switch-exhaustiveness-check",
  },
  "packages/runs/src/cycle-a.ts": { source: `export { b } from "./cycle-b.ts";\n`, rule: "no-cycle" },
  "packages/runs/src/cycle-b.ts": {
    source: `import * as a from "./cycle-a.ts";\nexport const b = (): unknown => a;\n`,
    rule: "no-cycle",
  },
  "packages/runs/src/mocked.test.ts": {
    source: `import { vi } from "vitest";\nvi.mock("./x.ts");\n`,
    rule: "no-restricted-vi-methods",
  },
  "packages/runs/src/skipped.test.ts": {
    source: `import { expect, test } from "vitest";\ntest.skip("x", () => {\n  expect(1).toBe(1);\n});\n`,
    rule: "no-disabled-tests",
  },
  "packages/runs/src/only.test.ts": {
    source: `import { expect, test } from "vitest";\ntest.only("x", () => {\n  expect(1).toBe(1);\n});\n`,
    rule: "no-focused-tests",
  },
  "packages/runs/src/sleep.test.ts": {
    source: `export const x = (f: () => void): unknown => setTimeout(f, 10);\n`,
    rule: "no-restricted-globals",
  },
  "packages/runs/src/sleep-import.test.ts": {
    source: `export { setTimeout } from "node:timers/promises";\n`,
    rule: "no-restricted-imports",
  },
};

/** The same things where they are right. */
const EXCEPTIONS: Readonly<Record<string, string>> = {
  "apps/api/src/env.ts": `export const home = process.env["HOME"];\n`,
  "packages/local-stack/src/bin/start.ts": `console.log(process.env["HOME"]);\n`,
  "chaos/main.ts": `console.log(process.env["HOME"]);\n`,
  "bench/main.ts": `console.log(process.env["HOME"]);\n`,
};

const root = resolve(import.meta.dirname, "..");
let folder = "";
let found = new Map<string, string[]>();

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "cortex-lint-"));
  for (const name of [".oxlintrc.json", "tsconfig.json", "tsconfig.base.json"])
    await cp(join(root, name), join(folder, name));
  await symlink(join(root, "node_modules"), join(folder, "node_modules"));
  const breaches = Object.entries(BREACHES).map(([path, { source }]): [string, string] => [path, source]);
  for (const [path, source] of [...breaches, ...Object.entries(EXCEPTIONS)]) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), source);
  }
  found = await lint(folder);
});

afterAll(() => rm(folder, { recursive: true, force: true }));

test.each(Object.entries(BREACHES))("%s is refused", (path, { rule }) => {
  expect(
    found.get(path)?.some((code) => code.endsWith(`(${rule})`)) ?? false,
    `${path}: ${found.get(path)?.join()}`,
  ).toBe(true);
});

test.each(Object.keys(EXCEPTIONS))("%s is left alone", (path) => {
  expect(found.get(path)).toBeUndefined();
});

/** Rule codes, as `plugin(rule)`, by path. Folders are named, because the linter would follow the link to node_modules. */
async function lint(cwd: string): Promise<Map<string, string[]>> {
  const output = await new Promise<string>((done) => {
    const argv = ["--format=unix", "packages", "apps", "bench", "chaos"];
    execFile(join(root, "node_modules/.bin/oxlint"), argv, { cwd, timeout: 30_000 }, (_error, stdout) => done(stdout));
  });
  const codes = new Map<string, string[]>();
  for (const [, path = "", code = ""] of output.matchAll(/^([^:\n]+):\d+:\d+: .*\[\w+\/(.+)\]$/gm)) {
    codes.set(path, [...(codes.get(path) ?? []), code]);
  }
  return codes;
}
