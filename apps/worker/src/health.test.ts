import { expect, onTestFinished, test } from "vitest";
import { type HealthDeps, serveHealth } from "./health.ts";

const well: HealthDeps = {
  workerId: "w",
  held: () => 0,
  lastBeat: () => performance.now(),
  consumer: () => ({ connected: true, running: 0, lastBegun: 0, refused: null }),
  wedged: () => null,
};

/** The statuses of `/health` and `/ready`. */
const statusesOf = async (deps: Partial<HealthDeps>): Promise<number[]> => {
  const served = await serveHealth({ ...well, ...deps }, { port: 0, leaseMs: 15_000 });
  onTestFinished(() => served.close());
  const ask = async (path: string) => (await fetch(`http://127.0.0.1:${served.port}${path}`)).status;
  return Promise.all(["/health", "/ready"].map(ask));
};

test("a worker is to be restarted only when it is of no use itself; what it waits for makes it not ready", async () => {
  expect(await statusesOf({})).toEqual([200, 200]);
  const away = { connected: false, running: 0, lastBegun: 0, refused: null };
  expect(await statusesOf({ consumer: () => away })).toEqual([200, 503]);
  expect(await statusesOf({ consumer: () => ({ ...away, connected: true, refused: "OOM" }) })).toEqual([200, 503]);
  // Postgres has been away for an hour, or was never there: a restart would bring nothing back.
  expect(await statusesOf({ lastBeat: () => performance.now() - 3_600_000 })).toEqual([200, 503]);
  expect(await statusesOf({ wedged: () => "deaf" })).toEqual([503, 200]);
});
