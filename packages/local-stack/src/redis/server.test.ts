import { once } from "node:events";
import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { createTestFolder, refusalOf } from "@cortex/testing";
import { Redis } from "ioredis";
import { expect, onTestFinished, test } from "vitest";
import { freePort } from "../ports.ts";
import { commandLine, endProcess, isAlive } from "../process/liveness.ts";
import { obtainRedisProgram } from "./obtain-program.ts";
import { type RedisOptions, type RedisServer, startRedis } from "./server.ts";

const program = () =>
  obtainRedisProgram({ environment: process.env, cacheDir: join(createTestFolder(), "cache"), say: () => {} });
const never = () => Promise.reject(new Error("no program was needed"));

async function options(): Promise<RedisOptions> {
  const folder = createTestFolder();
  return {
    dir: join(folder, "redis"),
    port: await freePort(),
    passwordFile: join(folder, "secrets/redis"),
    logFile: join(folder, "redis.log"),
  };
}

async function start(custom: RedisOptions, find = program): Promise<RedisServer> {
  const server = await startRedis(custom, find);
  onTestFinished(() => server.stop());
  return server;
}

function open(server: RedisServer): Redis {
  const client = new Redis(server.url);
  client.on("error", () => {}); // tests stop the server under it
  onTestFinished(() => client.disconnect());
  return client;
}

test("it is durable, never evicts, and asks for a password that ps does not show", async () => {
  const custom = await options();
  const server = await start(custom);
  const client = open(server);
  const settings = await Promise.all(
    ["appendonly", "appendfsync", "maxmemory-policy", "bind"].map((name) => client.config("GET", name)),
  );
  expect(settings).toEqual([
    ["appendonly", "yes"],
    ["appendfsync", "everysec"],
    ["maxmemory-policy", "noeviction"],
    ["bind", "127.0.0.1"],
  ]);
  const secret = readFileSync(custom.passwordFile, "utf8").trim();
  expect(commandLine(server.pid)).not.toContain(secret);
  expect(statSync(join(custom.dir, "redis.conf")).mode & 0o077).toBe(0);
  const stranger = new Redis(custom.port, { lazyConnect: true, retryStrategy: () => null });
  stranger.on("error", () => {}); // expected, see below
  await expect(stranger.get("key")).rejects.toThrow("NOAUTH");
  stranger.disconnect();
});

test("a stop keeps everything, and leaves no process", async () => {
  const custom = await options();
  const first = await start(custom);
  await open(first).set("key", "value");
  await first.stop();
  expect(isAlive(first.pid)).toBe(false);
  expect(await open(await start(custom)).get("key")).toBe("value");
});

test("one that an earlier process left behind is adopted, and stopped", async () => {
  const custom = await options();
  const orphan = await start(custom);
  const adopted = await startRedis(custom, never);
  expect(adopted).toMatchObject({ adopted: true, pid: orphan.pid });
  await adopted.stop();
  expect(isAlive(orphan.pid)).toBe(false);
});

test("after kill -9 it starts again with what was on disk", async () => {
  const custom = await options();
  const first = await start(custom);
  const client = open(first);
  await client.config("SET", "appendfsync", "always");
  await client.set("key", "value");
  await endProcess(first.pid, [{ signal: "SIGKILL", waitMs: 5_000 }]);
  expect(await open(await start(custom)).get("key")).toBe("value");
});

test("the Redis of another stack on our port is not shared but said", async () => {
  const theirs = await start(await options());
  const mine = { ...(await options()), port: theirs.port };
  const refusal = await refusalOf(startRedis(mine, never));
  expect(refusal).toMatch(/^port_taken: /);
  expect(refusal).toContain("REDIS_PORT");
});

test("something on our port that never answers is said within seconds", async () => {
  const custom = await options();
  const silent = createServer((socket) => socket.resume()).listen(custom.port, "127.0.0.1");
  await once(silent, "listening");
  onTestFinished(async () => {
    silent.close();
    await once(silent, "close");
  });
  expect(await refusalOf(startRedis(custom, never))).toMatch(/^port_taken: /);
});

test("a data folder that cannot be used is said", async () => {
  const custom = await options();
  writeFileSync(custom.dir, "");
  const refusal = await refusalOf(startRedis(custom, never));
  expect(refusal).toMatch(/^data_folder: /);
  expect(refusal).toContain(custom.dir);
});

test("a damaged append-only file is said, with the log", async () => {
  const custom = await options();
  const first = await start(custom);
  await open(first).set("key", "value");
  await first.stop();
  writeFileSync(join(custom.dir, "appendonlydir/appendonly.aof.manifest"), "nonsense");
  const refusal = await refusalOf(startRedis(custom, program));
  expect(refusal).toMatch(/^start_failed: /);
  expect(refusal).toContain(custom.logFile);
  expect(existsSync(custom.logFile)).toBe(true);
});
