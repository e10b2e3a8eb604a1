import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createTestFolder, refusalOf } from "@cortex/testing";
import { expect, onTestFinished, test } from "vitest";
import { isAlive } from "../process/liveness.ts";
import { holderOf, lockHome } from "./home-lock.ts";

const sleeper = (): { pid: number } => {
  const child = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"], { stdio: "ignore" });
  onTestFinished(() => void child.kill("SIGKILL"));
  if (child.pid === undefined) throw new Error("could not start");
  return { pid: child.pid };
};

test("the second one is told who holds the folder; after a release it is free", async () => {
  const home = join(createTestFolder(), "new/home");
  const lock = await lockHome(home);
  expect(holderOf(home)).toBe(process.pid);
  expect(await refusalOf(lockHome(home))).toContain(
    `already_running: Cortex already runs on ${home} (process ${process.pid})`,
  );
  lock.release();
  expect(holderOf(home)).toBe(null);
  (await lockHome(home)).release();
});

test("a lock whose owner is gone is taken over, and what it had started is ended, but not the stores", async () => {
  const home = createTestFolder();
  const [api, postgres] = [sleeper(), sleeper()];
  const script = `import { lockHome } from ${JSON.stringify(join(import.meta.dirname, "home-lock.ts"))};
    const lock = await lockHome(${JSON.stringify(home)});
    lock.record("api", ${api.pid}); lock.record("postgres", ${postgres.pid});
    process.kill(process.pid, "SIGKILL");`;
  await once(spawn(process.execPath, ["--input-type=module", "-e", script]), "exit");
  expect(existsSync(join(home, "stack.lock"))).toBe(true);

  const lock = await lockHome(home);
  onTestFinished(() => lock.release());
  expect([isAlive(api.pid), isAlive(postgres.pid)]).toEqual([false, true]);
  expect(holderOf(home)).toBe(process.pid);
});

test("an id that another process got meanwhile is neither a holder nor ended", async () => {
  const home = createTestFolder();
  const stranger = sleeper();
  (await lockHome(home)).record("api", stranger.pid);
  const path = join(home, "stack.lock");
  const stale = JSON.parse(readFileSync(path, "utf8")) as object;
  writeFileSync(
    path,
    JSON.stringify({ ...stale, mark: "1", processes: [{ name: "api", pid: stranger.pid, mark: "1" }] }),
  );
  const lock = await lockHome(home);
  onTestFinished(() => lock.release());
  expect(isAlive(stranger.pid)).toBe(true);
});

test("a torn lock file is no lock", async () => {
  const home = createTestFolder();
  writeFileSync(join(home, "stack.lock"), '{"pid": 1');
  const lock = await lockHome(home);
  onTestFinished(() => lock.release());
  expect(holderOf(home)).toBe(process.pid);
});

test.each([
  ["below a file", (folder: string) => join(folder, "file/home")],
  ["on a file", (folder: string) => join(folder, "file")],
  ["where the kernel makes no folders, root or not", () => "/proc/home"],
])("a home that cannot be made is said: %s", async (_where, home) => {
  const folder = createTestFolder();
  writeFileSync(join(folder, "file"), "");
  expect(await refusalOf(lockHome(home(folder)))).toMatch(/^data_folder: .*CORTEX_HOME/);
});
