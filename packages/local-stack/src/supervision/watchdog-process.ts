import { rmSync } from "node:fs";
import { createInterface } from "node:readline";
import { birthMark, endProcess } from "../process/liveness.ts";
import { WatchdogMessage } from "./watchdog-message.ts";

/*
 * The program of the watchdog, see watchdog.ts. What was announced last is stopped first: applications before the
 * databases under them.
 */

type Target = { pid: number; signal: NodeJS.Signals; mark: string };

/** A clean stop takes Postgres and Redis milliseconds and a worker, which hands its runs over, about a second. */
const GRACE_MS = 4_000;

const targets: Target[] = [];
const folders: string[] = [];
let done = false;

// It outlives its parent on purpose, whatever is sent around at a terminal
for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(name, () => {});

for await (const line of createInterface({ input: process.stdin })) {
  const message = WatchdogMessage.parse(JSON.parse(line));
  if (message.kind === "done") done = true;
  else if (message.kind === "remove") folders.push(message.path);
  else targets.push({ pid: message.pid, signal: message.signal, mark: birthMark(message.pid) });
}

if (!done) {
  for (const { pid, signal, mark } of targets.reverse()) {
    if (mark === "" || birthMark(pid) !== mark) continue; // it has ended, and its number may be somebody else's by now
    await endProcess(pid, [
      { signal, waitMs: GRACE_MS },
      { signal: "SIGKILL", waitMs: 1_000 },
    ]);
  }
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
}
