import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Failpoint, RecordedHit } from "@cortex/failpoints";
import { Redis } from "ioredis";
import type { Fleet, FleetApi, FleetWorker } from "../fleet/fleet.ts";
import { pause } from "../load/pause.ts";
import { type Place, places, type Provocation } from "./places.ts";

export interface Strike {
  name: Failpoint;
  /** Dies at this hit. */
  atHit: number;
}

/** The load passes every place within a second or two of a quiet machine. This catches a place that nobody passes. */
const hitMs = 120_000;
const lookMs = 20;

/** Did the process reach the failpoint and die there? What it wrote before it died says so. */
const struck = (file: string): boolean =>
  existsSync(file) &&
  readFileSync(file, "utf8")
    .split("\n")
    .some((line) => line !== "" && (JSON.parse(line) as RecordedHit).acts);

const heldRun = async (fleet: Fleet, worker: FleetWorker): Promise<string | null> => {
  const sql = "select id from cortex.agent_runs where worker_id = $1 and status = 'running' limit 1";
  const [run] = await fleet.ask<{ id: string }>(sql, [worker.id()]);
  return run?.id ?? null;
};

const loseLog = async (fleet: Fleet, runId: string): Promise<void> => {
  const redis = new Redis(fleet.redis.url);
  try {
    await redis.del(`agent_run:{${runId}}:responses`, `agent_run:{${runId}}:meta`);
  } finally {
    redis.disconnect();
  }
};

/** Does what leads a worker to the place; again and again, because a run may end before. */
const provoke = async (
  fleet: Fleet,
  target: FleetWorker,
  bystander: FleetWorker,
  provocation: Exclude<Provocation, "none">,
): Promise<void> => {
  const victim = provocation === "an orphan" ? bystander : target;
  const runId = await heldRun(fleet, victim);
  if (runId === null) return;
  switch (provocation) {
    case "told to go":
      target.signal("SIGTERM");
      return;
    case "an orphan":
      if (await bystander.kill()) await bystander.start();
      await pause(2_000);
      return;
    case "a lost log":
      await loseLog(fleet, runId);
      return;
  }
};

const isWorker = (process: FleetApi | FleetWorker): process is FleetWorker => "id" in process;

/**
 * Starts a process that is down with a failpoint armed, and brings it there. It is down again afterwards.
 * @returns whether it died at the failpoint
 */
export const strike = async (
  fleet: Fleet,
  target: FleetApi | FleetWorker,
  bystander: FleetWorker,
  { name, atHit }: Strike,
): Promise<boolean> => {
  const place: Place = places[name];
  const file = join(fleet.folder, `hits-${name}-${crypto.randomUUID()}`);
  const armed = { FAILPOINTS: `${name}=crash@${atHit}`, FAILPOINTS_FILE: file };
  const endAt = performance.now() + hitMs;
  while (performance.now() < endAt) {
    try {
      if (target.pid() === null) await target.start(armed);
    } catch (error) {
      // It may have come there before it was ready.
      if (!struck(file)) throw error;
    }
    if (place.provocation !== "none" && isWorker(target)) await provoke(fleet, target, bystander, place.provocation);
    await pause(lookMs);
    if (target.pid() === null && struck(file)) return true;
  }
  await target.kill();
  return struck(file);
};
