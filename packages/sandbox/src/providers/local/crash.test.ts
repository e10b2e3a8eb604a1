import { execFileSync, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { chmodSync, chownSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { eventually } from "@cortex/testing";
import { expect, onTestFinished, test } from "vitest";
import { withoutStage } from "../../testing/fake-bubblewrap.ts";
import { whereLocalSandboxesRun } from "../../testing/local-switch.ts";

const program = join(import.meta.dirname, "../../testing/sandbox-user.ts");

/** Another process of ours that opens a sandbox and runs one command in it; prints a line when it is there. */
const aSandboxUser = (home: string, command: string, as: { uid?: number; gid?: number; searchPath?: string } = {}) => {
  const { searchPath = "/usr/bin:/bin", ...user } = as;
  const child = spawn(process.execPath, [program, home, searchPath, randomUUID(), command], {
    ...user,
    cwd: "/",
    env: { PATH: "/usr/bin:/bin" },
    stdio: ["ignore", "pipe", "inherit"],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return { child, nextLine: async () => String((await lines.next()).value) };
};

const aHome = (): string => {
  const home = mkdtempSync(join(tmpdir(), "cortex-crash-"));
  onTestFinished(() => rmSync(home, { recursive: true, force: true }));
  return home;
};

/** Pids on this machine whose command line contains the words. */
const processesWith = (words: string): number[] =>
  readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ").includes(words);
      } catch {
        // It ended meanwhile.
        return false;
      }
    })
    .map(Number);

await whereLocalSandboxesRun(() => {
  test("a killed worker leaves no process behind", async () => {
    const seconds = "86399.25";
    const { child, nextLine } = aSandboxUser(
      aHome(),
      `sleep ${seconds} & setsid sleep ${seconds} & echo; sleep ${seconds}`,
    );
    expect(await nextLine()).toBe("output");
    await eventually(() => processesWith(`sleep ${seconds}`).length >= 3);
    child.kill("SIGKILL");
    await once(child, "exit");
    await eventually(() => processesWith(seconds).length === 0);
  });

  test("a killed worker leaves no process behind, even if its agent is frozen", async () => {
    const seconds = "86399.5";
    const { child, nextLine } = aSandboxUser(
      aHome(),
      `setsid sleep ${seconds} & echo; sleep 0.5; kill -STOP $PPID; sleep ${seconds}`,
    );
    expect(await nextLine()).toBe("output");
    await eventually(() => processesWith(`sleep ${seconds}`).length >= 2);
    child.kill("SIGKILL");
    await once(child, "exit");
    await eventually(() => processesWith(seconds).length === 0);
  });

  test("a killed worker leaves no process behind, without a stage either", async () => {
    const seconds = "86399.75";
    const home = aHome();
    chmodSync(home, 0o711);
    const command = `setsid sleep ${seconds} & echo; sleep 0.5; kill -STOP $PPID; sleep ${seconds}`;
    const { child, nextLine } = aSandboxUser(home, command, { searchPath: withoutStage() });
    expect(await nextLine()).toBe("output");
    await eventually(() => processesWith(`sleep ${seconds}`).length >= 2);
    child.kill("SIGKILL");
    await once(child, "exit");
    await eventually(() => processesWith(seconds).length === 0);
  });

  test("works as an ordinary user", async () => {
    const home = aHome();
    const user = process.getuid?.() === 0 ? { uid: 64_123, gid: 64_123 } : {};
    chmodSync(home, 0o755);
    if (user.uid !== undefined) chownSync(home, user.uid, user.gid);
    const { child, nextLine } = aSandboxUser(home, "id -u; touch made; exit 7", user);
    expect(await nextLine()).toBe("output");
    expect(JSON.parse(await nextLine())).toMatchObject({ exitCode: 7, stdout: "1000\n", stderr: "" });
    await once(child, "exit");
    const owner = execFileSync("find", [join(home, "sandboxes"), "-name", "made", "-printf", "%U"]).toString();
    expect(Number(owner)).toBe(user.uid ?? process.getuid?.());
  });
});
