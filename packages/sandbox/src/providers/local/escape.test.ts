import { lstatSync } from "node:fs";
import { join } from "node:path";
import { eventually } from "@cortex/testing";
import { describe, expect, test } from "vitest";
import { SandboxError } from "../../port/errors.ts";
import { aLocalSubject, aSandboxHome, workspaceOf } from "../../testing/local-machine.ts";
import { whereLocalSandboxesRun } from "../../testing/local-switch.ts";
import { freshSandbox, textOf } from "../../testing/subject.ts";

const home = aSandboxHome();
const mebibyte = 1024 ** 2;
const tightLimits = { processes: 100, fileBytes: 20 * mebibyte, temporaryBytes: 16 * mebibyte };

/** What the model may try, obeying somebody hostile. */
await whereLocalSandboxesRun(async () => {
  const subject = await aLocalSubject(home, "local");
  const tight = await aLocalSubject(aSandboxHome(), "local", { limits: tightLimits });

  describe("the system", () => {
    test("can be written nowhere but in the workspace, the home folder and the temporary ones", async () => {
      const { sandbox } = await freshSandbox(subject);
      const writable = await sandbox.exec({
        command:
          "for d in / /usr /usr/bin /bin /lib /etc /dev /opt /opt/cortex /opt/cortex/agent /home /proc /proc/sys/kernel " +
          "/workspace /home/user /tmp /dev/shm; do (: > $d/planted) 2>/dev/null && echo $d; done",
      });
      expect(writable.stdout.trim().split("\n")).toEqual(["/workspace", "/home/user", "/tmp", "/dev/shm"]);
      const bent = await sandbox.exec({
        command: "echo x >> /opt/cortex/agent/main.mjs; echo x >> /usr/bin/env; echo x > /etc/passwd",
      });
      expect(bent.stderr.match(/Read-only file system|Permission denied/g)).toHaveLength(3);
    });

    test("gives no privilege, new namespace, mount or device", async () => {
      const { sandbox } = await freshSandbox(subject);
      const status = await sandbox.exec({
        command: "grep -E '^(Cap(Inh|Prm|Eff|Bnd|Amb)|NoNewPrivs)' /proc/self/status",
      });
      expect(status.stdout.match(/\t0{16}$/gm)).toHaveLength(5);
      expect(status.stdout).toMatch(/NoNewPrivs:\t1/);
      for (const command of [
        "unshare --user true",
        "unshare --mount true",
        "mount -t tmpfs none /tmp",
        "mount --bind /tmp /usr",
        "chroot / true",
        "mknod /tmp/sda b 8 0",
        "su -c true",
        "nsenter --target 1 --mount true",
      ]) {
        expect([command, (await sandbox.exec({ command })).exitCode]).not.toEqual([command, 0]);
      }
    });

    test("shows no process of the host, and lets none be signalled", async () => {
      const { sandbox } = await freshSandbox(subject);
      const visible = await sandbox.exec({ command: "ls /proc | grep -c '^[0-9]'" });
      expect(Number(visible.stdout)).toBeLessThan(8);
      const killed = await sandbox.exec({ command: `kill -9 ${process.pid}` });
      expect(killed.exitCode).not.toBe(0);
    });

    test("has no terminal to push input into, and no network device but its own loopback", async () => {
      const { sandbox } = await freshSandbox(subject);
      const devices = await sandbox.exec({ command: "tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' '; tty" });
      expect(devices.stdout).toBe("lo\nnot a tty\n");
      const loopback = await sandbox.exec({
        command: `node -e "const s=require('net').createServer(c=>c.end('own')).listen(8080,'127.0.0.1',()=>require('net').connect(8080,'127.0.0.1').on('data',d=>{console.log(String(d));s.close()}))"`,
      });
      expect(loopback.stdout).toBe("own\n");
    });

    test("has passwords and keys of nobody", async () => {
      const { sandbox } = await freshSandbox(subject);
      const listed = await sandbox.exec({ command: "ls -A /etc; ls -A /root /home /var /run /sys /work 2>/dev/null" });
      expect(listed.stdout.split("\n")).toEqual(expect.arrayContaining(["passwd", "hosts"]));
      expect(listed.stdout).not.toMatch(/shadow|ssh$|resolv|machine-id|krb5/);
    });
  });

  describe("the host's user", () => {
    test("is not root, and not that of another sandbox", async () => {
      const [one, two] = [await freshSandbox(subject), await freshSandbox(subject)];
      const owners = await Promise.all(
        [one, two].map(async ({ ref, sandbox }) => {
          await sandbox.exec({ command: "touch owned; mkdir folder; chmod 4755 owned" });
          const stats = lstatSync(join(workspaceOf(home, ref.id), "owned"));
          expect((await sandbox.exec({ command: "id -u; id -g" })).stdout).toBe("1000\n1000\n");
          return stats.uid;
        }),
      );
      const own = process.getuid?.() ?? -1;
      expect(owners).not.toContain(0);
      expect(owners.every((owner) => (own === 0 ? owner >= 20_000 : owner === own))).toBe(true);
      expect(new Set(owners).size).toBe(own === 0 ? 2 : 1);
    });
  });

  describe("limits", () => {
    test("a fork bomb fills its own share of processes, and the sandbox survives it", async () => {
      const { ref, sandbox } = await freshSandbox(tight);
      const bomb = await sandbox.exec({ command: "bomb() { bomb | bomb & }; bomb; sleep 2", timeoutMs: 4_000 });
      expect(bomb.stderr).toMatch(/Resource temporarily unavailable/);
      await tight.provider.stop(ref);
      expect((await sandbox.exec({ command: "echo alive" })).stdout).toBe("alive\n");
    });

    test("where no process can be started, the call says so and files still work", async () => {
      const { sandbox } = await freshSandbox(tight);
      const fillUp =
        'setInterval(() => require("child_process").spawn("sleep", ["4714"], { stdio: "ignore" }).on("error", () => 0), 1)';
      await sandbox.exec({ command: `node -e '${fillUp}' > /dev/null 2>&1 &` });
      const refusal = () =>
        sandbox.exec({ command: "true" }).then(
          () => "it ran",
          (error: unknown) => (error instanceof SandboxError ? error.reason : String(error)),
        );
      await eventually(async () => (await refusal()) === "process_limit", { timeoutMs: 10_000 });
      await sandbox.files.write("still", "works");
      expect(textOf(await sandbox.files.read("still"))).toBe("works");
    });

    test("a file beyond the limit is refused to commands and to writers", async () => {
      const { sandbox } = await freshSandbox(tight);
      const command = await sandbox.exec({ command: "head -c 30M /dev/zero > big; stat -c %s big" });
      expect(command.stdout).toBe(`${tightLimits.fileBytes}\n`);
      const endless = async function* () {
        for (const chunk = Buffer.alloc(mebibyte); ;) yield chunk;
      };
      await expect(sandbox.files.write("endless", endless())).rejects.toMatchObject({ reason: "file_too_large" });
      expect((await sandbox.exec({ command: "ls -A" })).stdout).toBe("big\n");
    });

    test("temporary files, which are memory of the host, end at their size", async () => {
      const { sandbox } = await freshSandbox(tight);
      const filled = await sandbox.exec({
        command: "head -c 19M /dev/zero > /tmp/a; head -c 19M /dev/zero > /dev/shm/b; stat -c %s /tmp/a /dev/shm/b",
      });
      expect(filled.stdout).toBe(`${tightLimits.temporaryBytes}\n${tightLimits.temporaryBytes / 2}\n`);
      expect(filled.stderr).toMatch(/No space left on device/);
    });
  });

  describe("the agent inside", () => {
    test("killed by a command: the call fails, the next one works and says what happened", async () => {
      const { sandbox } = await freshSandbox(subject);
      await sandbox.files.write("kept", "kept");
      await expect(sandbox.exec({ command: "kill -9 $PPID; sleep 5" })).rejects.toMatchObject({
        reason: "sandbox_stopped",
      });
      expect((await sandbox.exec({ command: "cat kept" })).stdout).toBe("kept");
      expect(sandbox.takeNotices()).toMatchObject([{ kind: "restarted" }]);
    });

    test("frozen by a command: the timeout is kept, and the next call works", async () => {
      const { sandbox } = await freshSandbox(subject);
      const result = await sandbox.exec({ command: "kill -STOP $PPID; sleep 60", timeoutMs: 300 });
      expect(result).toMatchObject({ timedOut: true, exitCode: 124 });
      expect((await sandbox.exec({ command: "echo again" })).stdout).toBe("again\n");
    });

    test("replaced by a liar: its nonsense ends the sandbox, not us", async () => {
      const { sandbox } = await freshSandbox(subject);
      // The agent's own stdout, reached through /proc: it belongs to the same user as the commands.
      const command = "head -c 100000 /dev/urandom > /proc/$PPID/fd/1; sleep 30";
      const said = await sandbox.exec({ command, timeoutMs: 2_000 }).then(
        (result) => (result.timedOut ? "timed out" : "went on"),
        (error: unknown) => (error instanceof SandboxError ? error.reason : String(error)),
      );
      expect(["sandbox_stopped", "sandbox_unavailable", "timed out"]).toContain(said);
      await eventually(async () => (await sandbox.exec({ command: "echo again" })).stdout === "again\n");
    });
  });
});
