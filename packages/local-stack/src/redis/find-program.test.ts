import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createTestFolder } from "@cortex/testing";
import { expect, test } from "vitest";
import { findOnPath, isRecentEnough, redisVersion } from "./find-program.ts";

/** A program that answers --version like a Redis does. */
function fakeProgram(name: string, output: string): string {
  const folder = createTestFolder();
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, name), `#!/bin/sh\necho '${output}'\n`, { mode: 0o755 });
  return folder;
}

test.each([
  ["6.0.16", false],
  ["5.9.9", false],
  ["6.2.0", true],
  ["7.0.15", true],
  ["10.0.0", true],
])("version %s is recent enough: %s", (version, verdict) => {
  expect(isRecentEnough(version)).toBe(verdict);
});

test("the first that is recent enough is taken, in the order of the PATH", async () => {
  const old = fakeProgram("redis-server", "Redis server v=5.0.3 sha=00000000:0 malloc=jemalloc-5.1.0 bits=64");
  const broken = fakeProgram("redis-server", "exec format error");
  const valkey = fakeProgram("valkey-server", "Valkey server v=8.1.0 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64");
  const found = await findOnPath([old, broken, "/nonexistent", valkey].join(":"));
  expect(found).toEqual({ path: join(valkey, "valkey-server"), version: "8.1.0", env: {} });
});

test("a program that does not run has no version", async () => {
  expect(await redisVersion("/nonexistent/redis-server")).toBe(null);
});
