import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { expect, test } from "vitest";

const check = join(import.meta.dirname, "require-node.mjs");

/** Runs the check and then a program that says so, on a Node that believes to be `version`. */
function runOn(version: string) {
  const disguise = `Object.defineProperty(process, "versions", { value: { ...process.versions, node: "${version}" } })`;
  return spawnSync(
    process.execPath,
    ["--import", `data:text/javascript,${encodeURIComponent(disguise)}`, "--import", check, "-e", "console.log('ran')"],
    { encoding: "utf8", timeout: 10_000 },
  );
}

test("on a Node that is too old nothing runs, and one sentence says what to do", () => {
  const { status, stdout, stderr } = runOn("20.20.2");
  expect({ status, stdout }).toEqual({ status: 1, stdout: "" });
  expect(stderr).toMatch(/^Cortex runs on Node\.js 26.*20\.20\.2.*npm rebuild node.*\n$/);
});

test("on the Node that npm installs the program runs", () => {
  expect(runOn("26.10.0")).toMatchObject({ status: 0, stdout: "ran\n", stderr: "" });
});
