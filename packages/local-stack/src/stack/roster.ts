import { isAlive } from "../process/liveness.ts";
import type { Watchdog } from "../supervision/watchdog.ts";
import type { EndSignal, Stage } from "../supervision/watchdog-message.ts";
import type { HomeLock } from "./home-lock.ts";

/** Who runs in this stack. */
export type Roster = {
  /** A process was started, or started again under the same name: from now on it cannot outlive us. */
  spawned: (started: { name: string; pid: number; stage: Stage; signal: EndSignal }) => void;
  running: () => { name: string; pid: number }[];
  /** Called after each change, from now on. */
  onChange: (listener: () => void) => void;
};

export function createRoster(watchdog: Watchdog, lock: HomeLock): Roster {
  const pids = new Map<string, number>();
  let changed = (): void => {};
  return {
    spawned: ({ name, pid, stage, signal }) => {
      watchdog.watch({ pid, signal, stage });
      lock.record(name, pid);
      pids.set(name, pid);
      changed();
    },
    running: () => [...pids].map(([name, pid]) => ({ name, pid })).filter(({ pid }) => isAlive(pid)),
    onChange: (listener) => (changed = listener),
  };
}
