import { writeSync } from "node:fs";
import { workerData } from "node:worker_threads";
import type { EventLoopWatch } from "./event-loop-watch.ts";

/** The thread of event-loop-watch.ts. */
const { beats, beatMs, looks } = workerData as EventLoopWatch;
let seen = -1;
let missed = 0;

setInterval(() => {
  const now = Atomics.load(beats, 0);
  missed = now === seen ? missed + 1 : 0;
  seen = now;
  if (missed < looks) return;
  const line = { level: 60, time: new Date().toISOString(), msg: "the event loop is blocked; the process ends" };
  writeSync(1, `${JSON.stringify({ ...line, blocked_ms: missed * beatMs })}\n`);
  process.kill(process.pid, "SIGKILL");
}, beatMs);
