import { spawnSync } from "node:child_process";
import { cpSync, lstatSync, readdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { createTestFolder } from "@cortex/testing";
import { expect, test } from "vitest";
import { postgresBinaries, recreateLinks } from "./binaries.ts";

test("libraries' links that a blocked install script did not make are made by us", () => {
  const native = join(createTestFolder(), "native");
  cpSync(dirname(postgresBinaries({}).bin), native, { recursive: true, verbatimSymlinks: true });
  const links = readdirSync(join(native, "lib")).filter((name) =>
    lstatSync(join(native, "lib", name)).isSymbolicLink(),
  );
  for (const name of links) rmSync(join(native, "lib", name));
  expect(links.length).toBeGreaterThan(5);

  expect(recreateLinks(native)).toBe(true);

  const restored = readdirSync(join(native, "lib")).filter((name) =>
    lstatSync(join(native, "lib", name)).isSymbolicLink(),
  );
  expect(restored).toEqual(expect.arrayContaining(links));
  const version = spawnSync(join(native, "bin/postgres"), ["--version"], { encoding: "utf8" });
  expect(version.stdout).toContain("PostgreSQL) 17");
});
