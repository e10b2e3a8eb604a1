import { commandLine, isAlive, parentOf } from "../process/liveness.ts";

/** A stack that nobody wants any more ends within half a second of that. */
const INTERVAL_MS = 500;
/** npm, and a shell between it and us. */
const MAX_ANCESTORS = 3;

/** The npm that runs us, or null. Between it and us there is often a `sh -c`. */
function npmAbove(): number | null {
  let pid: number | null = process.ppid;
  for (let level = 0; level < MAX_ANCESTORS && pid !== null && pid > 1; level++) {
    if (/\bnpm\b|\bnpx\b/.test(commandLine(pid))) return pid;
    pid = parentOf(pid);
  }
  return null;
}

/**
 * Calls back once when the npm that started us is gone. npm passes on the signals that it gets, but its shell dies of them
 * without passing them on, and a kill -9 of npm would leave the stack to nobody: our parent changes, or npm is no more.
 */
export function whenParentEnds(callback: () => void): void {
  const parent = process.ppid;
  const npm = npmAbove();
  const timer = setInterval(() => {
    if (process.ppid === parent && (npm === null || isAlive(npm))) return;
    clearInterval(timer);
    callback();
  }, INTERVAL_MS);
  timer.unref();
}
