import { connect, createServer } from "node:net";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { once } from "node:events";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { freshSandbox, type Subject, textOf } from "./subject.ts";

const outside = { reason: "path_outside_workspace", code: "path_outside_workspace" };

/** What no sandbox lets out or in. */
export const isolationConformance = (subject: Subject): void => {
  describe("isolation", () => {
    test.for([
      "../x",
      "a/../../x",
      "/etc/passwd",
      "%2e%2e/x",
      "a\0b",
      "..%2fx",
      "/workspace/../etc/passwd",
      "~/../../x\\..\\y",
    ])("refuses the path %j everywhere", async (path) => {
      const { sandbox } = await freshSandbox(subject);
      const { files } = sandbox;
      await expect(files.read(path)).rejects.toMatchObject(outside);
      await expect(files.readStream(path)).rejects.toMatchObject(outside);
      await expect(files.write(path, "x")).rejects.toMatchObject(outside);
      await expect(files.list(path)).rejects.toMatchObject(outside);
      await expect(files.stat(path)).rejects.toMatchObject(outside);
      await expect(files.mkdir(path)).rejects.toMatchObject(outside);
      await expect(files.move(path, "a")).rejects.toMatchObject(outside);
      await expect(files.move("a", path)).rejects.toMatchObject(outside);
      await expect(files.remove(path)).rejects.toMatchObject(outside);
      await expect(files.setMode(path, 0o777)).rejects.toMatchObject(outside);
      await expect(files.search({ path })).rejects.toMatchObject(outside);
      await expect(sandbox.exec({ command: "pwd", cwd: path })).rejects.toMatchObject(outside);
    });

    test.for([
      ["an absolute one", "/etc"],
      ["one that climbs", "../../../../../../../../etc"],
      ["one to the root", "/"],
    ] as const)("refuses a symlink that leaves: %s", async ([, target]) => {
      const { ref, sandbox } = await freshSandbox(subject);
      await subject.plantLink(ref, "exit", target);
      await subject.plantLink(ref, "exit-by-two", "exit");
      const { files } = sandbox;
      for (const exit of ["exit", "exit-by-two"]) {
        await expect(files.read(`${exit}/passwd`)).rejects.toMatchObject(outside);
        await expect(files.readStream(`${exit}/passwd`)).rejects.toMatchObject(outside);
        await expect(files.write(`${exit}/planted`, "x")).rejects.toMatchObject(outside);
        await expect(files.write(exit, "x")).rejects.toMatchObject(outside);
        await expect(files.list(exit)).rejects.toMatchObject(outside);
        await expect(files.stat(`${exit}/passwd`)).rejects.toMatchObject(outside);
        await expect(files.mkdir(`${exit}/planted`)).rejects.toMatchObject(outside);
        await expect(files.move(`${exit}/passwd`, "stolen")).rejects.toMatchObject(outside);
        await expect(files.move(exit, `${exit}/planted`)).rejects.toMatchObject(outside);
        await expect(files.remove(`${exit}/passwd`)).rejects.toMatchObject(outside);
        await expect(files.setMode(`${exit}/passwd`, 0o777)).rejects.toMatchObject(outside);
        await expect(files.search({ path: exit })).rejects.toMatchObject(outside);
        await expect(sandbox.exec({ command: "pwd", cwd: exit })).rejects.toMatchObject(outside);
      }
      expect((await files.search({ text: "root:" })).matches).toEqual([]);
      // The link itself is the user's own, and harmless.
      await files.remove("exit");
    });

    test("follows a symlink that stays", async () => {
      const { ref, sandbox } = await freshSandbox(subject);
      await sandbox.files.write("folder/file", "inside");
      await subject.plantLink(ref, "stays", "folder");
      expect(textOf(await sandbox.files.read("stays/file"))).toBe("inside");
    });

    test("shows nothing of the host's files", async () => {
      const secret = join(mkdtempSync(join(tmpdir(), "host-")), "secret");
      writeFileSync(secret, "host secret", { mode: 0o644 });
      onTestFinished(() => rmSync(join(secret, ".."), { recursive: true }));
      const { ref, sandbox } = await freshSandbox(subject);
      await subject.plantLink(ref, "leak", secret);
      const result = await sandbox.exec({
        command: `cat ${secret}; cat leak; cat /etc/shadow; ls /root /work; cat ${import.meta.filename}`,
      });
      expect(result.stdout).toBe("");
      expect(result.exitCode).not.toBe(0);
    });

    test("shows nothing of the host's environment", async () => {
      const { sandbox } = await freshSandbox(subject);
      vi.stubEnv("CORTEX_CONFORMANCE_SECRET", "s3cret-of-the-host");
      onTestFinished(() => void vi.unstubAllEnvs());
      // The process begins only now, with the secret in ours.
      const result = await sandbox.exec({
        command: "env; cat /proc/self/environ /proc/1/environ /proc/*/environ | tr '\\0' '\\n'",
      });
      expect(result.stdout).toContain("HOME=/home/user");
      expect(result.stdout + result.stderr).not.toMatch(/s3cret|CORTEX_|DATABASE|npm_|VITEST/i);
    });

    test("reaches no server of the host", async () => {
      const server = createServer((socket) => socket.end("reached the host")).listen(0, "127.0.0.1");
      await once(server, "listening");
      onTestFinished(() => void server.close());
      const address = server.address();
      const port = typeof address === "object" && address !== null ? address.port : 0;
      const here = connect(port, "127.0.0.1");
      expect(String((await once(here, "data"))[0])).toBe("reached the host");

      const { sandbox } = await freshSandbox(subject);
      const result = await sandbox.exec({
        command: `cat < /dev/tcp/127.0.0.1/${port}; curl -s -m 2 http://127.0.0.1:${port}/; curl -s -m 2 http://[::1]:${port}/; curl -s -m 2 http://1.1.1.1/`,
        timeoutMs: 15_000,
      });
      expect(result.stdout).toBe("");
      expect(result.timedOut).toBe(false);
    });

    test("two sandboxes see nothing of each other", async () => {
      const [one, two] = [await freshSandbox(subject), await freshSandbox(subject)];
      await one.sandbox.files.write("mine", "of one");
      await one.sandbox.exec({ command: "echo of one > /tmp/mine" });
      expect(
        (await two.sandbox.exec({ command: "ls -A /workspace; cat /tmp/mine; ls /workspace/.." })).stdout,
      ).not.toMatch(/mine/);
      expect(await two.sandbox.files.stat("mine")).toBeNull();
      await two.sandbox.files.write("mine", "of two");
      expect(textOf(await one.sandbox.files.read("mine"))).toBe("of one");
    });
  });
};
