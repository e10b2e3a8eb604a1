import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { createTestFolder, eventually } from "@cortex/testing";
import { afterEach, expect, test } from "vitest";
import { armFaults, failpoint, FailpointError, isSwitchedOff, type RecordedHit } from "./failpoint.ts";
import { type FaultPlan, planFaults } from "./fault-plan.ts";

let disarm = (): void => {};
afterEach(() => disarm());

const arm = (FAILPOINTS: string, MECHANISMS_OFF = ""): string => {
  const file = join(createTestFolder(), "hits");
  disarm = armFaults(planFaults({ FAILPOINTS, FAILPOINTS_FILE: file, MECHANISMS_OFF }));
  return file;
};

const recorded = (file: string): RecordedHit[] =>
  readFileSync(file, "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as RecordedHit);

test("unarmed it is nothing, and so is another name", async () => {
  expect(failpoint("step.after_commit")).toBeUndefined();
  expect(isSwitchedOff("fence")).toBe(false);
  const file = arm("step.after_commit=error");
  expect(failpoint("step.before_commit")).toBeUndefined();
  expect(existsSync(file)).toBe(false);
});

test("it acts at its hit and never again, and each hit up to that one is recorded before", async () => {
  const file = arm("step.after_commit=error:ECONNRESET@2,append.before=delay:1");
  expect(failpoint("step.after_commit")).toBeUndefined();
  await expect(failpoint("step.after_commit")).rejects.toMatchObject({ name: "FailpointError", code: "ECONNRESET" });
  await failpoint("append.before");
  expect(failpoint("step.after_commit")).toBeUndefined();
  expect(recorded(file).map(({ name, hit, acts, action }) => [name, hit, acts, action])).toEqual([
    ["step.after_commit", 1, false, "error"],
    ["step.after_commit", 2, true, "error"],
    ["append.before", 1, true, "delay"],
  ]);
});

test("an error without a code has none, and a mechanism that is off is off alone", async () => {
  arm("ack.before=error", "fence, outbox");
  await expect(failpoint("ack.before")).rejects.toEqual(new FailpointError("ack.before", null));
  expect([isSwitchedOff("fence"), isSwitchedOff("outbox"), isSwitchedOff("lease")]).toEqual([true, true, false]);
});

test("a delay holds this one, and not the process", async () => {
  arm("append.after=delay:60");
  const startedAt = performance.now();
  let others = 0;
  setImmediate(() => (others += 1));
  await failpoint("append.after");
  expect([others, performance.now() - startedAt > 50]).toEqual([1, true]);
});

test("a stopped process stands still until it is told to go on", async () => {
  const file = join(createTestFolder(), "hits");
  const script = `
    const { armFaults, failpoint, planFaults } = await import(${JSON.stringify(import.meta.resolve("./index.ts"))});
    armFaults(planFaults({ FAILPOINTS: "step.before_commit=stop", FAILPOINTS_FILE: ${JSON.stringify(file)} }));
    await failpoint("step.before_commit");
    console.log("goes on");`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let said = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (said += text));
  const ended = once(child, "exit");
  await eventually(() => existsSync(file));
  expect(said).toBe("");
  // Again and again: a signal that comes before it stands still changes nothing.
  await eventually(() => {
    child.kill("SIGCONT");
    return said !== "";
  });
  expect(await ended).toEqual([0, null]);
});

test("a crash ends the process by SIGKILL at once, with its hit on record", () => {
  const file = join(createTestFolder(), "hits");
  const script = `
    const { armFaults, failpoint, planFaults } = await import(${JSON.stringify(import.meta.resolve("./index.ts"))});
    armFaults(planFaults({ FAILPOINTS: "final.after_commit=crash@2", FAILPOINTS_FILE: ${JSON.stringify(file)} }));
    for (const turn of ["one", "two", "three"]) {
      console.log(turn);
      await failpoint("final.after_commit");
    }`;
  const ended = spawnSync(process.execPath, ["--input-type=module", "-e", script], { encoding: "utf8" });
  expect(ended).toMatchObject({ signal: "SIGKILL", stdout: "one\ntwo\n" });
  expect(recorded(file).map(({ acts }) => acts)).toEqual([false, true]);
});

test.each([
  [{ FAILPOINTS: "step.aftercommit=crash", FAILPOINTS_FILE: "f" }, /no failpoint step\.aftercommit/],
  [{ FAILPOINTS: "step.after_commit=explode", FAILPOINTS_FILE: "f" }, /is not name=crash/],
  [{ FAILPOINTS: "step.after_commit=delay", FAILPOINTS_FILE: "f" }, /is not name=crash/],
  [{ FAILPOINTS: "step.after_commit=crash:1", FAILPOINTS_FILE: "f" }, /is not name=crash/],
  [{ FAILPOINTS: "step.after_commit=crash@0", FAILPOINTS_FILE: "f" }, /is not name=crash/],
  [{ FAILPOINTS: "step.after_commit=crash" }, /needs FAILPOINTS_FILE/],
  [{ FAILPOINTS: "ack.before=delay:1@1,ack.before=crash@2", FAILPOINTS_FILE: "f" }, /ack.before stands there twice/],
  [{ MECHANISMS_OFF: "brakes" }, /no mechanism brakes/],
  [{ MECHANISMS_OFF: "fence", NODE_ENV: "production" }, /not with NODE_ENV=production/],
  [{ FAILPOINTS: "ack.before=crash", FAILPOINTS_FILE: "f", NODE_ENV: "production" }, /not with NODE_ENV=production/],
])("%j is refused", (env, message) => {
  expect(() => planFaults(env)).toThrow(message);
});

test("nothing asked for is no plan, in production too", () => {
  const none: FaultPlan | null = null;
  expect(planFaults({ FAILPOINTS: "", MECHANISMS_OFF: " ", NODE_ENV: "production" })).toBe(none);
});
