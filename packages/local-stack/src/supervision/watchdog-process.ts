import { rmSync } from "node:fs";
import { createInterface } from "node:readline";
import { birthMark, endProcess } from "../process/liveness.ts";
import type { EndSignal, Stage, WatchdogMessage } from "./watchdog-message.ts";

/* The program of the watchdog, see watchdog.ts. It imports little, because it runs beside every stack. */

type Target = { pid: number; signal: EndSignal; stage: Stage; mark: string };

/** A clean stop takes Postgres and Redis milliseconds and a worker, which hands its runs over, about a second. */
const GRACE_MS = 4_000;

const targets: Target[] = [];
const paths: string[] = [];
let done = false;

// It outlives its parent on purpose, whatever is sent around at a terminal
for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(name, () => {});

for await (const line of createInterface({ input: process.stdin })) {
  const message = JSON.parse(line) as WatchdogMessage;
  if (message.kind === "done") done = true;
  else if (message.kind === "remove") paths.push(message.path);
  else targets.push({ ...message, mark: birthMark(message.pid) });
}

async function end({ pid, signal, mark }: Target): Promise<void> {
  if (mark === "" || birthMark(pid) !== mark) return; // it has ended, and its number may be somebody else's by now
  const steps = [
    { signal, waitMs: GRACE_MS },
    { signal: "SIGKILL", waitMs: 1_000 },
  ] as const;
  await endProcess(pid, [...steps]);
}

if (!done) {
  for (const stage of ["application", "store"] as const)
    await Promise.all(targets.filter((target) => target.stage === stage).map(end));
  for (const path of paths) rmSync(path, { recursive: true, force: true });
}
