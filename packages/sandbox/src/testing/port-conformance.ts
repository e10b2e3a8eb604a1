import { once } from "node:events";
import { buffer, text } from "node:stream/consumers";
import { eventually, refusalOf } from "@cortex/testing";
import { describe, expect, test } from "vitest";
import { maxConnections, type Sandbox } from "../port/sandbox.ts";
import { freshSandbox, type Subject } from "./subject.ts";

/** A server in the sandbox. It says its port in a file; the source sees `listen(server)`. */
const serve = async (sandbox: Sandbox, source: string): Promise<number> => {
  const head = `const net = require("node:net"), fs = require("node:fs"), http = require("node:http");
    const listen = (server, host = "127.0.0.1") => server.listen(0, host, () => {
      fs.writeFileSync("port.new", String(server.address().port)); fs.renameSync("port.new", "port"); });\n`;
  await sandbox.files.write("server.cjs", head + source);
  await sandbox.exec({ command: "rm -f port; node server.cjs > server.log 2>&1 &" });
  await eventually(() => sandbox.files.stat("port"), { timeoutMs: 20_000 });
  return Number(Buffer.from(await sandbox.files.read("port")).toString());
};

const mebibytes = (count: number): Buffer => Buffer.alloc(count * 1024 ** 2, "0123456789abcdef");

/** What a provider without ports says. */
export const portlessConformance = (subject: Subject): void => {
  test("ports are refused in words", async () => {
    const { sandbox } = await freshSandbox(subject);
    await expect(sandbox.connect({ port: 8080 })).rejects.toMatchObject({ reason: "not_supported" });
  });
};

/** Connections to the servers that run in a sandbox. */
export const portConformance = (subject: Subject): void => {
  describe("ports", () => {
    test("carry bytes both ways, end each way for itself, many at once, and are refused where nothing listens", async () => {
      const { sandbox } = await freshSandbox(subject);
      // Answers when it has heard everything, so the answer comes behind our end.
      const port = await serve(
        sandbox,
        `listen(net.createServer({ allowHalfOpen: true }, (socket) => { const all = []; socket.on("data", (chunk) => all.push(chunk)).on("error", () => {}).on("end", () => socket.end(Buffer.concat(all))); }));`,
      );
      const echo = async (sent: Buffer): Promise<Buffer> => {
        const stream = await sandbox.connect({ port });
        stream.end(sent);
        return buffer(stream);
      };
      expect((await echo(Buffer.from("grüß dich"))).toString()).toBe("grüß dich");
      const large = mebibytes(5);
      expect((await echo(large)).equals(large)).toBe(true);
      const answers = await Promise.all(Array.from({ length: 40 }, (_, index) => echo(Buffer.from(`n${index}`))));
      expect(answers.map(String)).toEqual(Array.from({ length: 40 }, (_, index) => `n${index}`));
      expect((await echo(Buffer.alloc(0))).length).toBe(0);

      await expect(sandbox.connect({ port: 1 })).rejects.toMatchObject({ reason: "connection_refused" });
      for (const wrong of [0, 65_536, 1.5, -1, Number.NaN]) {
        await expect(sandbox.connect({ port: wrong })).rejects.toMatchObject({ reason: "invalid_argument" });
      }
      // All of them are closed again: the bound is on what is open.
      const held = await Promise.all(Array.from({ length: maxConnections }, () => sandbox.connect({ port })));
      await expect(sandbox.connect({ port })).rejects.toMatchObject({ reason: "process_limit" });
      for (const stream of held) stream.destroy();
      await eventually(async () => (await echo(Buffer.from("again"))).toString() === "again");
    });

    test("hold back whoever is faster than the other end", async () => {
      const { sandbox } = await freshSandbox(subject);
      const port = await serve(
        sandbox,
        `let sent = 0;
        listen(net.createServer((socket) => {
          socket.on("error", () => {});
          const more = () => { while (sent < 64e6) { sent += 65536; if (!socket.write(Buffer.alloc(65536))) break; } fs.writeFileSync("sent", String(sent)); };
          socket.on("drain", more); more();
        }));`,
      );
      const stream = await sandbox.connect({ port });
      const [first] = (await once(stream, "data")) as [Buffer];
      expect(first.length).toBeGreaterThan(0);
      stream.pause();
      const sent = async () => Number(Buffer.from(await sandbox.files.read("sent")).toString());
      let before = -1;
      // It stands still, and far from its end: windows, pipes and the kernel's buffers are all that is filled.
      await eventually(
        async () => {
          const now = await sent();
          const stands = now === before;
          before = now;
          return stands;
        },
        { intervalMs: 300, timeoutMs: 20_000 },
      );
      expect(before).toBeLessThan(32e6);
      stream.destroy();

      const sink = await serve(
        sandbox,
        `listen(net.createServer((socket) => { socket.pause(); socket.on("error", () => {}); }));`,
      );
      const writer = await sandbox.connect({ port: sink });
      let taken = 0;
      const chunk = mebibytes(1);
      const pump = async () => {
        for (; taken < 64; taken++) {
          await new Promise((resolve) => {
            writer.write(chunk, resolve);
          });
        }
      };
      const pumping = pump();
      await eventually(
        () => {
          const stands = taken === before;
          before = taken;
          return stands;
        },
        { intervalMs: 300, timeoutMs: 20_000 },
      );
      expect(taken).toBeLessThan(32);
      writer.destroy();
      await pumping;
    });

    test("tell a server that breaks, a server that is left, and an abort", async () => {
      const { sandbox } = await freshSandbox(subject);
      const port = await serve(
        sandbox,
        `listen(net.createServer((socket) => {
          socket.on("error", (error) => fs.writeFileSync("error", error.code));
          socket.on("data", (data) => String(data) === "break" ? socket.resetAndDestroy() : socket.write(data));
        }));`,
      );
      const broken = await sandbox.connect({ port });
      const failure = once(broken, "error");
      broken.write("break");
      expect((await failure)[0]).toMatchObject({ reason: "connection_reset" });

      const left = await sandbox.connect({ port });
      left.write("x");
      await once(left, "data");
      left.destroy();
      await eventually(async () => (await sandbox.exec({ command: "cat error" })).stdout === "ECONNRESET");

      const abort = new AbortController();
      const aborted = await sandbox.connect({ port }, abort.signal);
      const heard = once(aborted, "error");
      abort.abort(new Error("the run was stopped"));
      expect((await heard)[0]).toMatchObject({ message: "the run was stopped" });
      expect(await refusalOf(sandbox.connect({ port }, abort.signal))).toBe("the run was stopped");
      // None of that has hurt the sandbox.
      expect(sandbox.takeNotices()).toEqual([]);
    });

    test("reach servers that listen on ::1 only", async () => {
      const { sandbox } = await freshSandbox(subject);
      const port = await serve(sandbox, 'listen(http.createServer((_, answer) => answer.end("six")), "::1");');
      const stream = await sandbox.connect({ port });
      stream.end("GET / HTTP/1.0\r\n\r\n");
      expect(await text(stream)).toMatch(/six$/);
    });

    test("break with the sandbox, and a visitor neither starts it nor is served by another start", async () => {
      const { ref, sandbox } = await freshSandbox(subject);
      await expect(sandbox.connect({ port: 80, passive: true })).rejects.toMatchObject({ reason: "sandbox_stopped" });
      expect(await subject.provider.state(ref)).toBe("stopped");
      const port = await serve(sandbox, "listen(net.createServer(() => {}));");
      const stream = await sandbox.connect({ port, passive: true });
      const failure = once(stream, "error");
      await subject.provider.stop(ref);
      expect((await failure)[0]).toMatchObject({ reason: "sandbox_stopped" });
      await expect(sandbox.connect({ port, passive: true })).rejects.toMatchObject({ reason: "sandbox_stopped" });
      await expect(sandbox.connect({ port })).rejects.toMatchObject({ reason: "connection_refused" });
      expect(sandbox.takeNotices()).toMatchObject([{ kind: "restarted" }]);
    });
  });
};
