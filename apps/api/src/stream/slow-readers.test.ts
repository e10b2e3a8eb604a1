import { connect, type Socket } from "node:net";
import { noUsage, type UnplacedEvent } from "@cortex/contracts";
import { connectRedis, createEventLog, type EventLog } from "@cortex/events";
import { silentLogger } from "@cortex/observability";
import { aRun, aUser, createTestDatabase, createTestRedis, type TestDatabase, type TestRedis } from "@cortex/testing";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { addressOf, residentMb, type StartedApi, startApiProcess } from "../testing/api-process.ts";
import { type SigningProject, startSigningProject } from "../testing/signing-project.ts";

let database: TestDatabase;
let redis: TestRedis;
let project: SigningProject;
let log: EventLog;
let closeLog: () => void;
beforeAll(async () => {
  [database, redis, project] = await Promise.all([createTestDatabase(), createTestRedis(), startSigningProject()]);
  const connection = connectRedis({ url: redis.url, name: "test", log: silentLogger() });
  log = createEventLog(connection);
  closeLog = () => connection.disconnect();
});
afterAll(() => {
  closeLog();
  return Promise.all([database.drop(), redis.drop(), project.close()]);
});

/** What a connection that nobody reads takes in the kernels of this system is less (3.7 MB), so every such stream is blocked. */
const entryBytes = 8_192;
const entries = 900;
const batch = 100;

const readers = 20;
const silent = 50;
/**
 * What the silent ones may cost is 50 MB; measured were 13 to 47, with garbage that was not collected yet. Un-awaited writes cost 214 MB here, and that
 * is what must be noticed on a busy machine, too.
 */
const mostMb = 100;

const place = (runId: string) => ({
  run_id: runId as UnplacedEvent["run_id"],
  at: new Date().toISOString(),
  attempt: 1,
});
const deltas = (runId: string, count: number): UnplacedEvent[] =>
  Array.from({ length: count }, () => ({
    type: "message.delta",
    ...place(runId),
    message_id: runId as Extract<UnplacedEvent, { type: "message.delta" }>["message_id"],
    text: "x".repeat(entryBytes),
  }));

/** A run with a long log that goes on. */
const aLongRun = async (accountId: string) => {
  const { runId } = await aRun(database.owner, { accountId, status: "running" });
  const first: UnplacedEvent = { type: "run.queued", ...place(runId) };
  let { length } = await log.open({ runId, attempt: 1, epoch: 1, events: [first] });
  const write = async (events: UnplacedEvent[]): Promise<void> => {
    ({ length } = await log.append({ runId, attempt: 1, epoch: 1, length, events }));
  };
  for (let each = 0; each < entries; each += batch) await write(deltas(runId, batch));
  const end = () => write([{ type: "run.completed", ...place(runId), usage: noUsage, cost_usd: "0" }]);
  return { runId, write, end, length: () => length };
};

interface Follower {
  socket: Socket;
  /** The ids that came, in order, and whether `done` came, too; when the connection is closed. */
  whole: Promise<{ ids: string[]; done: boolean }>;
}

/** A stream over a socket of its own, so that nothing between reads ahead. */
const follow = (url: string, input: { runId: string; token: string }): Follower => {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  onTestFinished(() => void socket.destroy());
  const path = `/api/agent-run/${input.runId}/stream`;
  socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer ${input.token}\r\n\r\n`);
  const ids: string[] = [];
  let left = "";
  let done = false;
  const whole = new Promise<{ ids: string[]; done: boolean }>((resolve) => {
    socket.setEncoding("latin1").on("data", (piece: string) => {
      const lines = (left + piece).split("\n");
      left = lines.pop() ?? "";
      for (const line of lines) if (line.startsWith("id: ")) ids.push(line.slice(4));
      done ||= lines.includes("event: done");
      left = left.slice(0, 64); // of a long line its beginning is enough
    });
    socket.once("close", () => resolve({ ids, done }));
    socket.on("error", () => {}); // followed by `close`
  });
  return { socket, whole };
};

test("fifty sockets that never read do not fill the memory, and nobody else notices", async () => {
  const api: StartedApi = startApiProcess({
    API_PORT: "0",
    DATABASE_URL: database.apiUrl,
    REDIS_URL: redis.url,
    SUPABASE_URL: project.url,
    DEFAULT_MODEL: "demo",
    STREAM_TICKET_SECRET: crypto.randomUUID(),
    STREAMS_PER_RUN: "100",
  });
  const url = await addressOf(api);
  const { userId, accountId } = await aUser(database.owner);
  const token = await project.token({ sub: userId });
  let most = 0;
  const look = (): void => {
    most = Math.max(most, residentMb(api) ?? 0);
  };

  const followToTheEnd = async (run: Awaited<ReturnType<typeof aLongRun>>): Promise<void> => {
    const followers = Array.from({ length: readers }, () => follow(url, { runId: run.runId, token }));
    for (let each = 0; each < 100; each += 1) {
      await run.write(deltas(run.runId, 1));
      look();
    }
    await run.end();
    const all = Array.from({ length: run.length() }, (_, seq) => `1.${seq}`);
    for (const { whole } of followers) {
      expect(await whole).toEqual({ ids: all, done: true });
      look();
    }
  };

  // Once without them: what twenty readers cost.
  await followToTheEnd(await aLongRun(accountId));
  const before = most;

  const run = await aLongRun(accountId);
  const never = Array.from({ length: silent }, () => follow(url, { runId: run.runId, token }).socket.pause());
  await followToTheEnd(run);
  expect(never.every((socket) => !socket.destroyed)).toBe(true);
  expect([before, most, most - before < mostMb]).toEqual([before, most, true]);
}, 60_000);
