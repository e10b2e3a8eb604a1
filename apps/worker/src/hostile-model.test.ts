import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { promisify } from "node:util";
import type { RunEvent } from "@cortex/contracts";
import { connectRedis } from "@cortex/events";
import { silentLogger } from "@cortex/observability";
import { aThread, aUser, eventually, startTraceCollector, type TraceCollector } from "@cortex/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startTellingEndpoint, tellMyKey } from "./testing/telling-endpoint.ts";
import { createWorkplace, type WorkerProcess, type Workplace } from "./testing/worker-fixture.ts";

/*
 * A model that obeys somebody hostile, in a whole worker with its real database, queue, log, sandbox and traces. What it must not learn are canaries in
 * the worker's own environment; they are looked for in everything that is stored, said or logged. The attacks on single walls are in
 * packages/agentpress/src/hostile-*.test.ts.
 */

const canary = (of: string) => `canary-${of}-${randomBytes(9).toString("hex")}`;
const secrets = {
  MODEL_API_KEY: canary("model"),
  TAVILY_API_KEY: canary("search"),
  LANGFUSE_SECRET_KEY: canary("langfuse"),
  LANGFUSE_PUBLIC_KEY: canary("langfuse-public"),
};
const traceHeader = canary("collector");
/** What a user says is stored and traced: it shows that the search finds what is there. */
const spoken = canary("spoken");

let place: Workplace;
let endpoint: Awaited<ReturnType<typeof startTellingEndpoint>>;
let collector: TraceCollector;
let worker: WorkerProcess;
let inside: { server: Server; port: number; asked: string[] };

const startInside = async (): Promise<typeof inside> => {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    asked.push(request.url ?? "");
    response.writeHead(200, { "content-type": "text/plain" }).end("reached the inside");
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  return { server, port: (server.address() as AddressInfo).port, asked };
};

const env = (): Record<string, string> => ({
  ...secrets,
  MODEL_BASE_URL: endpoint.url,
  LANGFUSE_BASE_URL: collector.url,
  OTLP_TRACES_URL: `${collector.url}/v1/traces`,
  OTLP_TRACES_HEADERS: `x-key=${traceHeader}`,
  LOG_LEVEL: "trace",
});

beforeAll(async () => {
  place = await createWorkplace();
  [endpoint, collector, inside] = await Promise.all([
    startTellingEndpoint(place.model.url),
    startTraceCollector({ publicKey: secrets.LANGFUSE_PUBLIC_KEY, secretKey: secrets.LANGFUSE_SECRET_KEY }),
    startInside(),
  ]);
  worker = await place.aWorker(env());
});
afterAll(async () => {
  await place.close();
  await Promise.all([endpoint.close(), collector.close()]);
  inside.server.closeAllConnections();
  inside.server.close();
});

const call = (name: string, args: unknown): string => `[[tool=${name} ${JSON.stringify(args)}]]`;
const shell = (command: string): string => call("execute_command", { command, timeout_seconds: 20 });
const resultsOf = (events: readonly RunEvent[]): string[] =>
  events.flatMap((event) => (event.type === "tool_call.completed" ? [event.result] : []));

/** The results of a run of these calls, one after the other. */
const run = async (...calls: string[]): Promise<{ runId: string; results: string[] }> => {
  const { runId } = await place.start(`${calls.join(" ")} [[say=done]] ${crypto.randomUUID()}`);
  await place.ended(runId, 40_000);
  return { runId, results: resultsOf(await place.events(runId)) };
};

/** Says which of these ports of the host somebody answers at. */
const knock = (ports: readonly number[]): string => {
  const program = `for (const port of ${JSON.stringify(ports)}) require('net').connect(port, '127.0.0.1').on('connect', function () { console.log('open ' + port); this.destroy(); }).on('error', () => 0)`;
  return `node -e ${JSON.stringify(program)}`;
};
const portOf = (url: string): number => Number(new URL(url).port);

const onHost = async (command: string): Promise<string> => {
  const { stdout } = await promisify(execFile)("sh", ["-c", command], {
    env: { ...env(), PATH: `${process.execPath.replace(/\/node$/, "")}:/usr/bin:/bin` },
  });
  return stdout;
};

test("the environment of the worker is nowhere in the sandbox", async () => {
  const look = "env; cat /proc/self/environ; cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2>/dev/null; set";
  const { results } = await run(shell(look), shell(`cat /proc/${worker.pid}/environ; ls -la /proc/${worker.pid}/`));
  expect(results).toHaveLength(2);
  for (const secret of [...Object.values(secrets), traceHeader]) expect(results.join()).not.toContain(secret);
  const seen = await onHost("env");
  for (const secret of Object.values(secrets)) expect(seen).toContain(secret);
});

test("no command and no tool reaches Postgres, Redis, the model, the collector or the worker itself", async () => {
  const health = Number(/"health_port":(\d+)/.exec(worker.output())?.[1]);
  const urls = [place.database.ownerUrl, place.redis.url, place.model.url, endpoint.url, collector.url];
  const ports = [...urls.map(portOf), health, inside.port];
  const pages = ports.map((port) => call("fetch_page", { url: `http://127.0.0.1:${port}/` }));
  const { runId, results } = await run(shell(knock(ports)), ...pages);
  expect(results).toHaveLength(ports.length + 1);
  expect(results[0]).not.toContain("open");
  const said = (await place.events(runId)).flatMap((event) => (event.type === "tool_call.completed" ? [event] : []));
  expect(said.slice(1).map(({ is_error: failed }) => failed)).toEqual(ports.map(() => true));
  expect(inside.asked).toEqual([]);
  expect((await onHost(knock(ports))).match(/open \d+/g)).toHaveLength(ports.length);
});

test("pictures and links in an answer are fetched by nobody of ours", async () => {
  const leak = `![x](http://127.0.0.1:${inside.port}/leak?it=${spoken}) <img src="http://127.0.0.1:${inside.port}/img">`;
  const { runId } = await place.start(`[[say=${leak}]]`);
  expect(await place.ended(runId)).toMatchObject({ status: "completed" });
  expect(inside.asked).toEqual([]);
});

test("another account's messages and files are nobody's to read", async () => {
  const stranger = await aUser(place.database.owner, { planId: "local" });
  const theirs = await aThread(place.database.owner, { accountId: stranger.accountId });
  const { rows } = await place.database.owner.query<{ id: string }>(
    `insert into cortex.messages (account_id, thread_id, seq, role, content)
     values ($1, $2, 1, 'user', $3::jsonb) returning id`,
    [stranger.accountId, theirs.threadId, JSON.stringify([{ type: "text", text: "what a stranger said" }])],
  );
  const first = await run(call("create_file", { path: "mine.txt", content: "of the first project" }));
  const { rows: own } = await place.database.owner.query<{ id: string }>(
    "select id from cortex.messages where run_id = $1 and role = 'user'",
    [first.runId],
  );
  const ids = [...rows, ...own].map(({ id }) => id);
  const { results } = await run(
    ...ids.map((id) => call("expand_message", { id })),
    shell("ls -R / 2>/dev/null | grep -c mine.txt; cat mine.txt"),
  );
  expect(results.join()).not.toMatch(/what a stranger said|of the first project|\[\[tool/);
  expect(results.at(-1)).toMatch(/^0\n/);
});

test("an endless output ends at its bound, and so does what is kept of it in the log", async () => {
  const { runId, results } = await run(shell("head -c 30000000 /dev/zero | tr '\\0' x"));
  expect(results[0]?.length).toBeLessThan(60_000);
  expect(JSON.stringify(await place.events(runId)).length).toBeLessThan(9_000_000);
  expect((await onHost("head -c 30000000 /dev/zero | tr '\\0' x | wc -c")).trim()).toBe("30000000");
});

/** Everything that Postgres holds, as text. */
const storedText = async (): Promise<string> => {
  const { owner } = place.database;
  const { rows } = await owner.query<{ name: string }>(
    "select format('%I.%I', schemaname, tablename) as name from pg_tables where schemaname not in ('pg_catalog', 'information_schema')",
  );
  const texts = await Promise.all(
    rows.map(async ({ name }) => (await owner.query<{ text: string }>(`select it::text as text from ${name} it`)).rows),
  );
  return texts.flatMap((table) => table.map(({ text }) => text)).join("\n");
};

/** Everything that Redis holds, as it is: what is compressed cannot be searched. */
const redisText = async (): Promise<string> => {
  const redis = connectRedis({ url: place.redis.url, name: "test-search", log: silentLogger() });
  await redis.config("SET", "rdbcompression", "no");
  redis.disconnect();
  return [...(await place.redis.contents())]
    .map(([key, hex]) => key + Buffer.from(hex, "hex").toString("latin1"))
    .join("\n");
};

test("no key of the worker stands in Postgres, Redis, traces or the log, whatever went wrong before", async () => {
  const { runId } = await place.start(`${tellMyKey} ${spoken}`);
  const row = await place.ended(runId, 40_000);
  expect(row.status).toBe("failed");
  expect(endpoint.told()).toBeGreaterThan(0);
  const { runId: last } = await place.start(`[[say=I say ${spoken}]]`);
  await place.ended(last);
  const traceId = last.replaceAll("-", "");
  await eventually(() => collector.spans().some((span) => span.traceId === traceId), { timeoutMs: 20_000 });

  const passwords = [place.database.workerUrl, place.redis.url].map((url) => new URL(url).password);
  const places = {
    postgres: await storedText(),
    redis: await redisText(),
    traces: JSON.stringify(collector.spans()),
    log: worker.output(),
  };
  const found = Object.entries(places).flatMap(([name, text]) =>
    [...Object.entries(secrets), ["trace header", traceHeader], ...passwords.map((one, n) => [`password ${n}`, one])]
      .filter(([, secret]) => secret !== undefined && secret !== "" && text.includes(secret))
      .map(([what]) => `${what} in ${name}`),
  );
  expect(found).toEqual([]);
  // The control: what was said is found wherever it belongs, and the log holds nothing of what is said.
  const told = Object.entries(places).flatMap(([name, text]) => (text.includes(spoken) ? [name] : []));
  expect(told).toEqual(["postgres", "redis", "traces"]);
});

test("with the address on its list, the same worker's tools do reach the inside", async () => {
  expect((await worker.stop()).code).toBe(0);
  worker = await place.aWorker({ ...env(), EGRESS_ALLOW: `127.0.0.1:${inside.port}` });
  const { results } = await run(call("fetch_page", { url: `http://127.0.0.1:${inside.port}/` }));
  expect(results[0]).toContain("reached the inside");
  expect(inside.asked).toEqual(["/"]);
});
