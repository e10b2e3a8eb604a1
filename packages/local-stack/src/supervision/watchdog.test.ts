import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createTestFolder, eventually } from "@cortex/testing";
import { expect, onTestFinished, test } from "vitest";
import { isAlive } from "../process/liveness.ts";
import { startWatchdog } from "./watchdog.ts";

/** A process that writes its name to a file when it is asked to end. */
async function target(folder: string, name: string): Promise<number> {
  const script = `process.on("SIGTERM", () => { require("fs").appendFileSync(${JSON.stringify(join(folder, "order"))}, "${name} "); process.exit(); });
    setInterval(() => {}, 1000); console.log("up");`;
  const child = spawn(process.execPath, ["-e", script], { stdio: ["ignore", "pipe", "inherit"] });
  onTestFinished(() => void child.kill("SIGKILL"));
  await once(child.stdout, "data");
  if (child.pid === undefined) throw new Error("could not start");
  return child.pid;
}

test("when its starter is killed it ends applications, then stores, then removes what it was told to", async () => {
  const folder = createTestFolder();
  const doomed = join(folder, "doomed");
  mkdirSync(join(doomed, "deep"), { recursive: true });
  const [store, application] = [await target(folder, "store"), await target(folder, "application")];
  const script = `import { startWatchdog } from ${JSON.stringify(join(import.meta.dirname, "watchdog.ts"))};
    const dog = startWatchdog({ removeAtEnd: [${JSON.stringify(doomed)}] });
    dog.watch({ pid: ${store}, signal: "SIGTERM", stage: "store" });
    dog.watch({ pid: ${application}, signal: "SIGTERM", stage: "application" });
    console.log(dog.pid);
    setInterval(() => {}, 1000);`;
  const starter = spawn(process.execPath, ["--input-type=module", "-e", script], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const dog = Number(String(await once(starter.stdout, "data")));
  starter.kill("SIGKILL");
  await eventually(() => !isAlive(dog));
  expect([isAlive(store), isAlive(application), existsSync(doomed)]).toEqual([false, false, false]);
  expect(readFileSync(join(folder, "order"), "utf8")).toBe("application store ");
});

test("after an orderly end it touches nothing", async () => {
  const folder = createTestFolder();
  const kept = join(folder, "kept");
  writeFileSync(kept, "");
  const pid = await target(folder, "bystander");
  const dog = startWatchdog({ removeAtEnd: [kept] });
  dog.watch({ pid, signal: "SIGTERM", stage: "application" });
  await dog.close();
  expect([isAlive(pid), existsSync(kept)]).toEqual([true, true]);
});
