import { spawn } from "node:child_process";
import { Socket } from "node:net";
import { join } from "node:path";
import type { EndSignal, Stage, WatchdogMessage } from "./watchdog-message.ts";

export type Watchdog = {
  pid: number | null;
  /** From now on this process does not outlive us. */
  watch: (target: { pid: number; signal: EndSignal; stage: Stage }) => void;
  /** Everything was stopped in order: the watchdog ends and does nothing more. */
  close: () => Promise<void>;
};

/**
 * Starts a small process that waits for our end and then stops what we started: applications first, then the stores.
 * It learns of our end by the pipe between us, which the kernel closes however we die (kill -9 included). It stands in
 * a session of its own, so that a signal to our process group does not reach it. What `removeAtEnd` names is removed
 * after everything has stopped.
 */
export function startWatchdog(options: { removeAtEnd?: string[] } = {}): Watchdog {
  const child = spawn(process.execPath, [join(import.meta.dirname, "watchdog-process.ts")], {
    stdio: ["pipe", "ignore", "ignore"],
    detached: true,
    cwd: "/",
    env: { PATH: "/usr/bin:/bin" },
  });
  const ended = new Promise<void>((resolve) => {
    child.once("exit", () => resolve());
    child.once("error", () => resolve());
  });
  child.unref();
  const { stdin } = child;
  stdin.on("error", () => {}); // the watchdog was killed: there is nobody to tell
  if (stdin instanceof Socket) stdin.unref(); // a pipe of node:child_process is one; it must not keep us alive
  const tell = (message: WatchdogMessage): void => {
    stdin.write(`${JSON.stringify(message)}\n`);
  };
  for (const path of options.removeAtEnd ?? []) tell({ kind: "remove", path });
  return {
    pid: child.pid ?? null,
    watch: (target) => tell({ kind: "watch", ...target }),
    close: async () => {
      tell({ kind: "done" });
      stdin.end();
      child.ref(); // from here on somebody waits for it
      await ended;
    },
  };
}
