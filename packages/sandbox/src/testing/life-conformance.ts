import { randomUUID } from "node:crypto";
import { refusalOf } from "@cortex/testing";
import { describe, expect, test } from "vitest";
import { freshSandbox, type Subject, textOf } from "./subject.ts";

/** How a sandbox comes, rests and goes on every provider. */
export const lifeConformance = (subject: Subject): void => {
  describe("life", () => {
    test("making one twice is making it once", async () => {
      const id = randomUUID();
      const [first, second] = await Promise.all([
        subject.provider.create({ id, labels: {} }),
        subject.other.create({ id, labels: {} }),
      ]);
      expect(second).toEqual(first);
      await subject.provider.open(first).files.write("kept", "x");
      await subject.provider.create({ id, labels: {} });
      expect(textOf(await subject.provider.open(first).files.read("kept"))).toBe("x");
      await subject.provider.delete(first);
    });

    test("an id that is no uuid is refused before it becomes a path", async () => {
      for (const id of ["../../etc", "", "a/b", "x\0"]) {
        await expect(subject.provider.create({ id, labels: {} })).rejects.toMatchObject({ reason: "invalid_argument" });
      }
    });

    test("stopping fails what is running, keeps the files, and the next call starts it again and says so", async () => {
      const { ref, sandbox } = await freshSandbox(subject);
      await sandbox.exec({ command: "echo kept > kept; echo temporary > /tmp/temporary" });
      expect(sandbox.takeNotices()).toEqual([]);
      const running = refusalOf(sandbox.exec({ command: "sleep 30" }));
      expect(await subject.provider.state(ref)).toBe("started");
      await subject.provider.stop(ref);
      expect(await running).toMatch(/^unavailable: The sandbox (was )?stopped\.$/);
      expect(await subject.provider.state(ref)).toBe("stopped");
      const result = await sandbox.exec({ command: "cat kept /tmp/temporary" });
      expect(result.stdout).toBe("kept\n");
      expect(sandbox.takeNotices()).toMatchObject([{ kind: "restarted" }]);
      expect(sandbox.takeNotices()).toEqual([]);
      await subject.provider.stop(ref);
      await subject.provider.stop(ref);
    });

    test("a start is shared by all who ask for it", async () => {
      const { ref, sandbox } = await freshSandbox(subject);
      await Promise.all(Array.from({ length: 10 }, () => sandbox.files.stat("")));
      await subject.provider.resume(ref);
      expect(sandbox.takeNotices()).toEqual([]);
      expect(await subject.provider.state(ref)).toBe("started");
    });

    test("another process of ours works on the same files", async () => {
      const { ref, sandbox } = await freshSandbox(subject);
      const elsewhere = subject.other.open(ref);
      await sandbox.files.write("shared", "from one");
      expect((await elsewhere.exec({ command: "cat shared; echo from the other > answer" })).stdout).toBe("from one");
      expect(textOf(await sandbox.files.read("answer"))).toBe("from the other\n");

      const writers = Array.from({ length: 20 }, (_, index) => (index % 2 === 0 ? sandbox : elsewhere));
      const won = await Promise.allSettled(
        writers.map((writer, index) => writer.files.write("once", `${index}`.repeat(1_000), { ifExists: "fail" })),
      );
      expect(won.filter((result) => result.status === "fulfilled")).toHaveLength(1);
      await Promise.all(writers.map((writer, index) => writer.files.write(`f${index}`, "x")));
      expect((await sandbox.files.list("")).entries).toHaveLength(23);
    });

    test("stopping ends it in every process of ours", async () => {
      const { ref, sandbox } = await freshSandbox(subject);
      const elsewhere = subject.other.open(ref);
      await Promise.all([sandbox.files.stat(""), elsewhere.files.stat("")]);
      const running = refusalOf(elsewhere.exec({ command: "sleep 30" }));
      await subject.provider.stop(ref);
      expect(await running).toMatch(/^unavailable: The sandbox (was )?stopped\.$/);
      expect(await subject.other.state(ref)).toBe("stopped");
    });

    test("a deleted one is gone for everybody", async () => {
      const { ref, sandbox } = await freshSandbox(subject);
      const elsewhere = subject.other.open(ref);
      await sandbox.files.write("deep/er/file", "x");
      await sandbox.exec({ command: "mkdir -p locked/in; touch locked/in/file; chmod 000 locked/in" });
      await elsewhere.files.stat("deep");
      await subject.provider.delete(ref);
      expect(await subject.provider.state(ref)).toBe("gone");
      const gone = { reason: "sandbox_gone", code: "not_found" };
      await expect(sandbox.exec({ command: "true" })).rejects.toMatchObject(gone);
      await expect(elsewhere.files.read("deep/er/file")).rejects.toMatchObject(gone);
      await expect(subject.provider.open(ref).files.list("")).rejects.toMatchObject(gone);
      await subject.provider.delete(ref);
    });

    test("are listed with their labels and states", async () => {
      const { ref, sandbox } = await freshSandbox(subject);
      const labels = { made_by: "conformance" };
      const find = async () => (await Array.fromAsync(subject.provider.list())).find((listed) => listed.id === ref.id);
      expect(await find()).toEqual({ ...ref, state: "stopped", labels });
      await sandbox.files.stat("");
      expect(await find()).toEqual({ ...ref, state: "started", labels });
    });
  });
};
