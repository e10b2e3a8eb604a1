import { execFile, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import { eventually } from "@cortex/testing";
import { expect, onTestFinished, test } from "vitest";
import { withoutStage } from "../../testing/fake-bubblewrap.ts";
import { workspaceOf } from "../../testing/local-machine.ts";
import { whereLocalSandboxesRun } from "../../testing/local-switch.ts";

const program = join(import.meta.dirname, "../../testing/sandbox-user.ts");

/** Another process of ours that opens a sandbox and runs one command in it; prints a line when it is there. */
const aSandboxUser = (home: string, command: string, as: { uid?: number; gid?: number; searchPath?: string } = {}) => {
  const { searchPath = "/usr/bin:/bin", ...user } = as;
  const id = randomUUID();
  const child = spawn(process.execPath, [program, home, searchPath, id, command], {
    ...user,
    cwd: "/",
    env: { PATH: "/usr/bin:/bin" },
    stdio: ["ignore", "pipe", "inherit"],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    child,
    workspace: workspaceOf(home, id),
    nextLine: async () => String((await lines.next()).value),
  };
};

const aHome = (): string => {
  const home = mkdtempSync(join(tmpdir(), "cortex-crash-"));
  onTestFinished(() => rmSync(home, { recursive: true, force: true }));
  return home;
};

/** State letter, parent and process group of each process on this machine. */
const processes = (): Map<number, { state: string; parent: number; group: number }> => {
  const found = new Map<number, { state: string; parent: number; group: number }>();
  for (const name of readdirSync("/proc").filter((entry) => /^\d+$/.test(entry))) {
    try {
      const stat = readFileSync(`/proc/${name}/stat`, "utf8");
      const [state = "", parent = "", group = ""] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      found.set(Number(name), { state, parent: Number(parent), group: Number(group) });
    } catch {
      // It ended meanwhile.
      continue;
    }
  }
  return found;
};

const descendantsOf = (pid: number): number[] => {
  const all = [...processes()];
  const below = (parent: number): number[] =>
    all.filter(([, process]) => process.parent === parent).flatMap(([child]) => [child, ...below(child)]);
  return below(pid);
};

/** Those of the processes that still run. One that only nobody has taken note of (a zombie) does not. */
const stillRunning = (pids: number[]): number[] => {
  const now = processes();
  return pids.filter((pid) => !["Z", "X", undefined].includes(now.get(pid)?.state));
};

/** Background processes in and out of the group; `ready` is made when all of it stands. */
const busy = "sleep 86399 & setsid sleep 86399 & echo; touch ready; sleep 86399";
/** The same, and the agent will not hear that its host has gone. */
const frozen = "sleep 86399 & setsid sleep 86399 & echo; sleep 0.3; kill -STOP $PPID; touch ready; sleep 86399";

/** Kills the user of a sandbox when its command stands. @returns the processes that it had started */
const killed = async ({ child, workspace, nextLine }: ReturnType<typeof aSandboxUser>): Promise<number[]> => {
  await nextLine();
  await eventually(() => existsSync(join(workspace, "ready")));
  const started = descendantsOf(child.pid ?? 0);
  child.kill("SIGKILL");
  await once(child, "exit");
  return started;
};

/** bubblewrap and its init, the agent, the shell, two sleeps. */
const leastProcesses = 6;

await whereLocalSandboxesRun(() => {
  test("a killed worker leaves no process behind", async () => {
    const started = await killed(aSandboxUser(aHome(), busy));
    expect(started.length).toBeGreaterThanOrEqual(leastProcesses);
    await eventually(() => stillRunning(started).length === 0);
  });

  test("a killed worker leaves no process behind, even if its agent is frozen", async () => {
    const started = await killed(aSandboxUser(aHome(), frozen));
    expect(started.length).toBeGreaterThanOrEqual(leastProcesses);
    await eventually(() => stillRunning(started).length === 0);
  });

  test("a killed worker leaves no process behind, without a stage either", async () => {
    const home = aHome();
    chmodSync(home, 0o711);
    const started = await killed(aSandboxUser(home, frozen, { searchPath: withoutStage() }));
    expect(started.length).toBeGreaterThanOrEqual(leastProcesses);
    await eventually(() => stillRunning(started).length === 0);
  });

  test("a Ctrl-C in our terminal does not reach the commands", async () => {
    const { child, workspace } = aSandboxUser(aHome(), busy);
    await eventually(() => existsSync(join(workspace, "ready")));
    const all = processes();
    const groups = descendantsOf(child.pid ?? 0).map((pid) => all.get(pid)?.group);
    expect(groups.length).toBeGreaterThanOrEqual(leastProcesses);
    expect(groups).not.toContain(all.get(child.pid ?? 0)?.group);
  });

  test("what whoever started us left open stays out of the sandbox", async () => {
    const home = aHome();
    writeFileSync(join(home, "secret"), "secret of the host");
    const command = "cat <&200; cat /proc/*/fd/200; echo done";
    const script = `exec 200< ${join(home, "secret")}; exec "$@"`;
    const args = ["-c", script, "sh", process.execPath, program, home, "/usr/bin:/bin", randomUUID(), command];
    const { stdout } = await promisify(execFile)("bash", args, { cwd: "/", env: { PATH: "/usr/bin:/bin" } });
    const [, json = "{}"] = stdout.split("\n");
    expect(JSON.parse(json)).toMatchObject({ stdout: "done\n" });
  });

  test("works as an ordinary user", async () => {
    const home = aHome();
    const user = process.getuid?.() === 0 ? { uid: 64_123, gid: 64_123 } : {};
    chmodSync(home, 0o755);
    if (user.uid !== undefined) chownSync(home, user.uid, user.gid);
    const { child, workspace, nextLine } = aSandboxUser(home, "id -u; touch made; exit 7", user);
    expect(await nextLine()).toBe("output");
    expect(JSON.parse(await nextLine())).toMatchObject({ exitCode: 7, stdout: "1000\n", stderr: "" });
    await once(child, "exit");
    expect(statSync(join(workspace, "made")).uid).toBe(user.uid ?? process.getuid?.());
  });
});
