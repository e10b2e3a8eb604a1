import { eventually } from "@cortex/testing";
import { describe, expect, test } from "vitest";
import { aLocalSubject, aSandboxHome } from "../testing/local-machine.ts";
import { freshSandbox } from "../testing/subject.ts";

// The interpreter runs everywhere, and idleness is the same for both providers of this machine.
const subject = await aLocalSubject(aSandboxHome(), "virtual", { idleMs: 150 });

const closing = await aLocalSubject(aSandboxHome(), "virtual");

describe("a machine that nobody calls", () => {
  test("is stopped, keeps its files, and starts again for the next call", async () => {
    const { ref, sandbox } = await freshSandbox(subject);
    await sandbox.files.write("kept", "x");
    expect(await subject.provider.state(ref)).toBe("started");
    await eventually(async () => (await subject.provider.state(ref)) === "stopped");
    expect((await sandbox.exec({ command: "cat kept" })).stdout).toBe("x");
    expect(sandbox.takeNotices()).toMatchObject([{ kind: "restarted" }]);
  });

  test("is not idle while a call is open, however long and silent", async () => {
    const { sandbox } = await freshSandbox(subject);
    expect((await sandbox.exec({ command: "sleep 0.6; echo done" })).stdout).toBe("done\n");
    expect(sandbox.takeNotices()).toEqual([]);
  });

  test("is not idle while a file is being read", async () => {
    const { sandbox } = await freshSandbox(subject);
    await sandbox.files.write("big", Buffer.alloc(2 * 1024 ** 2));
    const { body } = await sandbox.files.readStream("big");
    let read = 0;
    for await (const chunk of body) {
      if (read === 0) await sandbox.exec({ command: "sleep 0.5" });
      read += chunk.length;
    }
    expect(read).toBe(2 * 1024 ** 2);
  });
});

test("a closed provider starts nothing any more", async () => {
  const { ref, sandbox } = await freshSandbox(closing);
  await sandbox.files.stat("");
  await closing.provider.close();
  expect(await closing.provider.state(ref)).toBe("stopped");
  await expect(sandbox.files.stat("")).rejects.toMatchObject({ reason: "sandbox_unavailable" });
});
