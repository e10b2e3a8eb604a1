import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { SandboxHome } from "../../running/sandbox-home.ts";
import { aSandboxHome } from "../../testing/local-machine.ts";
import { virtualCommand } from "./virtual-provider.ts";

/*
 * The second wall of the interpreter: what JavaScript could do that has broken out of it. Its place is taken by a script of ours in a process
 * with the very same permissions.
 */
const home = aSandboxHome();
const folder = new SandboxHome(join(home, "sandboxes")).folder("8d9b1e0a-5c39-4a0c-9d6a-0b7c8a1f2e3d");
const secret = join(home, "secret");
beforeAll(() => {
  mkdirSync(folder.workspace, { recursive: true });
  writeFileSync(secret, "secret");
});

const attempt = async (script: string): Promise<string> => {
  const { program, args, env } = virtualCommand(folder);
  const permissions = args.filter((arg) => arg.startsWith("--"));
  const child = spawn(program, [...permissions, "--input-type=module", "--eval", script], { env, cwd: "/" });
  let said = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk: Buffer) => void (said += String(chunk)));
  await once(child, "close");
  return said;
};

test.for([
  ["reads no file of the host", `(await import("node:fs")).readFileSync(${JSON.stringify(secret)})`],
  ["reads no password", `(await import("node:fs")).readFileSync("/etc/passwd")`],
  ["reads nothing of other processes", `(await import("node:fs")).readFileSync("/proc/self/environ")`],
  ["writes nothing outside", `(await import("node:fs")).writeFileSync(${JSON.stringify(`${secret}-2`)}, "x")`],
  [
    "writes nothing of its own program",
    `(await import("node:fs")).writeFileSync(${JSON.stringify(import.meta.filename)}, "x")`,
  ],
  ["starts no process", `(await import("node:child_process")).execSync("id")`],
  ["starts no thread", `new (await import("node:worker_threads")).Worker("1", { eval: true })`],
  [
    "has no network",
    `(await import("node:net")).connect(65000, "127.0.0.1").on("connect", () => console.log("REACHED"))`,
  ],
])("%s", async ([, script]) => {
  expect(await attempt(`${script}; console.log("DONE")`)).toMatch(/ERR_ACCESS_DENIED/);
});

test("and the positive: it reads and writes the workspace, and has no environment", async () => {
  const path = JSON.stringify(join(folder.workspace, "made"));
  const said = await attempt(
    `const fs = await import("node:fs"); fs.writeFileSync(${path}, "made"); console.log(fs.readFileSync(${path}, "utf8"), Object.keys(process.env).length)`,
  );
  expect(said).toBe("made 0\n");
  expect(readFileSync(join(folder.workspace, "made"), "utf8")).toBe("made");
});
