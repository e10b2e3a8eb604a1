import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createTestFolder, eventually, refusalOf } from "@cortex/testing";
import { expect, onTestFinished, test } from "vitest";
import { endProcess, isAlive } from "../process/liveness.ts";
import { type ManagedProcess, type ProcessPlan, startManaged } from "./managed-process.ts";

/** A small application in a folder of its own: `body` runs, and `ready` appears as a file when it says so. */
function application(body: string): {
  plan: ProcessPlan;
  folder: string;
  said: string[];
  start: () => Promise<ManagedProcess>;
} {
  const folder = createTestFolder();
  const script = join(folder, "app.ts");
  writeFileSync(script, `import { appendFileSync, renameSync, writeFileSync } from "node:fs";\n${body}\n`);
  const plan = {
    name: "app",
    script,
    env: { READY: join(folder, "ready") },
    isReady: async () => existsSync(join(folder, "ready")),
  };
  const said: string[] = [];
  const start = async (): Promise<ManagedProcess> => {
    const managed = await startManaged(plan, {
      logFolder: folder,
      say: (line) => said.push(line),
      onSpawn: () => {},
      signal: AbortSignal.timeout(30_000),
    });
    onTestFinished(() => managed.stop(1_000));
    return managed;
  };
  return { plan, folder, said, start };
}

const stay = `writeFileSync(process.env.READY, ""); setInterval(() => {}, 1000);`;

test("it is up when it is ready, and a stop lets it finish", async () => {
  const { start, folder } = application(
    `${stay} process.on("SIGTERM", () => { console.log("bye"); process.exit(0); });`,
  );
  const managed = await start();
  const pid = managed.pid();
  await managed.stop(5_000);
  expect(managed.pid()).toBe(null);
  expect(pid !== null && isAlive(pid)).toBe(false);
  expect(readFileSync(join(folder, "app.log"), "utf8")).toBe("bye\n");
});

test("one that ignores the request is forced", async () => {
  const { start } = application(`process.on("SIGTERM", () => {}); ${stay}`);
  const managed = await start();
  await managed.stop(100);
  expect(managed.pid()).toBe(null);
});

test("one that ends at its start fails the start, with its last words", async () => {
  const { start, folder } = application(`console.error("PORT must be a number"); process.exit(3);`);
  expect(await refusalOf(start())).toBe(
    `start_failed: app ended at its start (exit code 3): PORT must be a number (all of it in ${join(folder, "app.log")}).`,
  );
});

test("one that crashes later is started again, and that is said", async () => {
  const { start, said } = application(stay);
  const managed = await start();
  const first = managed.pid();
  if (first === null) throw new Error("it is down");
  await endProcess(first, [{ signal: "SIGKILL", waitMs: 5_000 }]);
  const second = await eventually(() => managed.pid());
  expect(second).not.toBe(first);
  expect(said).toEqual([expect.stringMatching(/^app ended \(SIGKILL\); starting it again in 0.5 s, see .*app\.log$/)]);
});

test("pauses between restarts grow, and a stop ends the waiting", async () => {
  const { start, said, folder } = application(
    `appendFileSync(process.env.READY + "-starts", "x"); writeFileSync(process.env.READY, ""); setTimeout(() => process.exit(1), 50);`,
  );
  const managed = await start();
  await eventually(() => said.length >= 2);
  await managed.stop(1_000);
  expect(said.map((line) => /in ([\d.]+) s/.exec(line)?.[1])).toEqual(["0.5", "1"]);
  expect(readFileSync(join(folder, "ready-starts"), "utf8")).toBe("xx");
});

test("it ends when we are killed, even if nobody else looks after it", async () => {
  const { plan, folder } = application(
    // under its name only when it is whole: the parent below dies as soon as it sees the file
    `const part = process.env.READY + ".part"; writeFileSync(part, String(process.pid));
    renameSync(part, process.env.READY); setInterval(() => {}, 1000);`,
  );
  const script = `import { startManaged } from ${JSON.stringify(join(import.meta.dirname, "managed-process.ts"))};
    import { existsSync } from "node:fs";
    const plan = ${JSON.stringify(plan)};
    await startManaged({ ...plan, isReady: async () => existsSync(plan.env.READY) }, { logFolder: ${JSON.stringify(folder)}, say() {}, onSpawn() {}, signal: AbortSignal.timeout(30_000) });
    process.kill(process.pid, "SIGKILL");`;
  await once(spawn(process.execPath, ["--input-type=module", "-e", script], { stdio: "inherit" }), "exit");
  const pid = Number(readFileSync(join(folder, "ready"), "utf8"));
  expect(pid).toBeGreaterThan(1);
  await eventually(() => !isAlive(pid));
});
