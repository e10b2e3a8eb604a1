import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { dirname, join } from "node:path";
import { createTestFolder, refusalOf } from "@cortex/testing";
import pg from "pg";
import { expect, onTestFinished, test } from "vitest";
import { freePort } from "../ports.ts";
import { endProcess, isAlive } from "../process/liveness.ts";
import { type PostgresOptions, type PostgresServer, startPostgres } from "./server.ts";

const home = createTestFolder();
const port = await freePort();
const optionsFor = (folder: string): PostgresOptions => ({
  dataDir: join(folder, "postgres"),
  port,
  passwordFile: join(folder, "secrets/postgres"),
  logFile: join(folder, "logs/postgres.log"),
});
const options = optionsFor(home);
const lockFile = join(options.dataDir, "postmaster.pid");

/** Starts it for one test; whatever the test did, nothing is left. */
async function start(custom: PostgresOptions = options): Promise<PostgresServer> {
  const server = await startPostgres(custom);
  onTestFinished(() => server.stop());
  return server;
}

async function ask(server: PostgresServer, sql: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: server.url });
  await client.connect();
  try {
    return (await client.query<{ answer: unknown }>(sql)).rows.map((row) => row.answer);
  } finally {
    await client.end();
  }
}

test("the first start makes a durable, loopback-only database of version 17 with a password of its own", async () => {
  const server = await start();
  const settings = [
    "server_version_num",
    "fsync",
    "synchronous_commit",
    "listen_addresses",
    "password_encryption",
    "unix_socket_directories",
  ];
  const shown = [];
  for (const name of settings) shown.push(...(await ask(server, `select current_setting('${name}') as answer`)));
  expect(shown).toEqual([expect.stringMatching(/^17/), "on", "on", "127.0.0.1", "scram-sha-256", ""]);
  expect(statSync(options.passwordFile).mode & 0o777).toBe(0o600);
  const stranger = { ...server, url: server.url.replace(/:[^:@]+@/, ":postgres@") };
  await expect(ask(stranger, "select 1 as answer")).rejects.toThrow("password authentication failed");
  await ask(server, "create table kept as select 42 as answer");
});

test("a later start keeps the data, and a stop leaves no process and no lock", async () => {
  const server = await startPostgres(options);
  expect(await ask(server, "select answer from kept")).toEqual([42]);
  await server.stop();
  expect(isAlive(server.pid)).toBe(false);
  expect(existsSync(lockFile)).toBe(false);
});

test("a server whose parent was killed is adopted, and stopped", async () => {
  const script = `import { startPostgres } from ${JSON.stringify(join(import.meta.dirname, "server.ts"))};
    const server = await startPostgres(${JSON.stringify(options)}); console.log(server.pid); setInterval(() => {}, 1000);`;
  const parent = spawn(process.execPath, ["--input-type=module", "-e", script], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const output = String(await once(parent.stdout, "data"));
  parent.kill("SIGKILL");
  await once(parent, "exit");
  const server = await start();
  expect(server).toMatchObject({ adopted: true, pid: Number(output) });
  expect(await ask(server, "select answer from kept")).toEqual([42]);
  await server.stop();
  expect(isAlive(server.pid)).toBe(false);
});

test("an orphan on another port is replaced by one on the port that is asked for", async () => {
  const orphan = await start({ ...options, port: await freePort() });
  const server = await start();
  expect(server).toMatchObject({ adopted: false, port });
  expect(isAlive(orphan.pid)).toBe(false);
});

test("after kill -9 in the middle of work, committed rows are there", async () => {
  const server = await start();
  const client = new pg.Client({ connectionString: server.url });
  client.on("error", () => {}); // the server is about to be killed under it
  await client.connect();
  await client.query("create table if not exists survived (answer int); insert into survived values (1)");
  await client.query("begin; insert into survived values (2)");
  await endProcess(server.pid, [{ signal: "SIGKILL", waitMs: 5_000 }]);
  const again = await start();
  expect(await ask(again, "select answer from survived")).toEqual([1]);
});

test.each([
  [
    "the id of a program that is not Postgres",
    () => `${process.pid}\n${options.dataDir}\n1795200000\n${port}\n\n127.0.0.1\n1 1\nready   \n`,
  ],
  [
    "the id of a process that is gone",
    () => `4194300\n${options.dataDir}\n1795200000\n${port}\n\n127.0.0.1\n1 1\nready   \n`,
  ],
  ["nothing", () => ""],
])("a lock file with %s does not keep it from starting", async (_what, text) => {
  writeFileSync(lockFile, text());
  const server = await start();
  expect(await ask(server, "select 1 as answer")).toEqual([1]);
});

test("a taken port is said, with the setting that moves it, and nothing is left running", async () => {
  const other = createServer().listen(port, "127.0.0.1");
  await once(other, "listening");
  onTestFinished(async () => {
    other.close();
    await once(other, "close");
  });
  const refusal = await refusalOf(startPostgres(options));
  expect(refusal).toMatch(/^port_taken: /);
  expect(refusal).toContain("POSTGRES_PORT");
  expect(existsSync(lockFile)).toBe(false);
});

test("a folder with other files is refused and left as it is", async () => {
  const folder = createTestFolder();
  mkdirSync(join(folder, "postgres"));
  writeFileSync(join(folder, "postgres/diary.txt"), "dear");
  const refusal = await refusalOf(startPostgres(optionsFor(folder)));
  expect(refusal).toMatch(/^data_folder: /);
  expect(refusal).toContain("no PostgreSQL data");
  expect(readdirSync(join(folder, "postgres"))).toEqual(["diary.txt"]);
});

test("data of another version is refused by name", async () => {
  const folder = createTestFolder();
  mkdirSync(join(folder, "postgres"));
  writeFileSync(join(folder, "postgres/PG_VERSION"), "15\n");
  const refusal = await refusalOf(startPostgres(optionsFor(folder)));
  expect(refusal).toMatch(/^data_folder: /);
  expect(refusal).toContain("PostgreSQL 15");
});

test("a damaged database is said in one sentence that names the log", async () => {
  const control = join(options.dataDir, "global/pg_control");
  renameSync(control, `${control}.away`);
  onTestFinished(() => renameSync(`${control}.away`, control));
  const refusal = await refusalOf(startPostgres(options));
  expect(refusal).toMatch(/^start_failed: /);
  expect(refusal).toContain(options.logFile);
});

test("data whose password is lost is said, and not touched", async () => {
  const away = `${options.passwordFile}.away`;
  renameSync(options.passwordFile, away);
  onTestFinished(() => renameSync(away, options.passwordFile));
  const refusal = await refusalOf(startPostgres(options));
  expect(refusal).toMatch(/^data_folder: /);
  expect(refusal).toContain(options.passwordFile);
  expect(existsSync(options.passwordFile)).toBe(false);
});

test("a file where the data folder should be is said", async () => {
  const folder = createTestFolder();
  writeFileSync(join(folder, "postgres"), "");
  expect(await refusalOf(startPostgres(optionsFor(folder)))).toMatch(/^data_folder: /);
});

test("what an interrupted first start left is cleared away", async () => {
  const folder = createTestFolder();
  mkdirSync(join(folder, "postgres.new-abc123/data"), { recursive: true });
  await start(optionsFor(folder));
  expect(readdirSync(folder).filter((name) => name.includes(".new-"))).toEqual([]);
});

test("a home that only its owner may enter works, for root too", async () => {
  const folder = createTestFolder();
  chmodSync(folder, 0o700);
  const server = await start(optionsFor(folder));
  const path = join(folder, "postgres");
  if (lstatSync(path).isSymbolicLink()) {
    onTestFinished(() => rmSync(dirname(readlinkSync(path)), { recursive: true }));
  }
  expect(server.dataDir).toBe(process.getuid?.() === 0 ? readlinkSync(path) : path);
  expect(await ask(server, "select 1 as answer")).toEqual([1]);
});

test("nothing of our environment reaches the server", async () => {
  process.env["OPENAI_API_KEY_OF_THIS_TEST"] = "secret";
  onTestFinished(() => {
    delete process.env["OPENAI_API_KEY_OF_THIS_TEST"];
  });
  const server = await start();
  const environment =
    process.platform === "linux"
      ? readFileSync(`/proc/${server.pid}/environ`, "utf8")
      : execFileSync("ps", ["eww", "-p", String(server.pid)], { encoding: "utf8" });
  expect(environment).not.toContain("secret");
});
