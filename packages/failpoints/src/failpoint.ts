import { appendFileSync } from "node:fs";
import type { FaultAction, FaultPlan } from "./fault-plan.ts";
import type { Failpoint, Mechanism } from "./names.ts";

/** One line of the file in which hits are recorded. */
export interface RecordedHit {
  name: Failpoint;
  /** The how-manieth of this process. */
  hit: number;
  /** The action follows; false: it was not this hit's turn. */
  acts: boolean;
  action: FaultAction["kind"];
  pid: number;
  at: string;
}

/** Thrown by the action `error`. */
export class FailpointError extends Error {
  override readonly name = "FailpointError";
  readonly code: string | null;
  constructor(at: Failpoint, code: string | null) {
    super(`failpoint ${at}`);
    this.code = code;
  }
}

interface Armed {
  plan: FaultPlan;
  hits: Map<Failpoint, number>;
}

/**
 * State of the process, the only such in the house: a fault strikes a process and not an object, and as a parameter it would go through
 * every signature of the product for something that is never there.
 */
let armed: Armed | null = null;

/**
 * Arms what an app's environment asks for; called once, by its `main.ts`, before anything is opened.
 * @returns takes everything back; for tests that stay in their process
 */
export const armFaults = (plan: FaultPlan | null): (() => void) => {
  const mine = plan && { plan, hits: new Map<Failpoint, number>() };
  armed = mine;
  return () => {
    if (armed === mine) armed = null;
  };
};

/** Has a negative control taken this mechanism away? False wherever people work. */
export const isSwitchedOff = (mechanism: Mechanism): boolean => armed !== null && armed.plan.off.has(mechanism);

/**
 * A place at which a test can make this process die, fail or wait. Nothing, if it is not armed; a promise to be awaited otherwise. Where it
 * stands in a busy path: `const hit = failpoint("model.mid"); if (hit) await hit;`.
 * @throws FailpointError (as a rejection), if `error` is armed
 */
export const failpoint = (name: Failpoint): Promise<void> | undefined =>
  armed === null ? undefined : hit(armed, name);

const hit = ({ plan, hits }: Armed, name: Failpoint): Promise<void> | undefined => {
  const one = plan.failpoints.find((candidate) => candidate.name === name);
  const count = (hits.get(name) ?? 0) + 1;
  hits.set(name, count);
  if (!one || count > one.atHit) return undefined;
  const acts = count === one.atHit;
  if (plan.file !== null) {
    const { pid } = process;
    const recorded: RecordedHit = {
      name,
      hit: count,
      acts,
      action: one.action.kind,
      pid,
      at: new Date().toISOString(),
    };
    // Before it acts and without waiting: what is written survives the death of the process.
    appendFileSync(plan.file, `${JSON.stringify(recorded)}\n`);
  }
  return acts ? act(name, one.action) : undefined;
};

const act = (name: Failpoint, action: FaultAction): Promise<void> => {
  switch (action.kind) {
    case "crash":
      process.kill(process.pid, "SIGKILL");
      // Nothing runs from here on, whenever the signal arrives.
      return new Promise<never>(() => {});
    case "error":
      return Promise.reject(new FailpointError(name, action.code));
    case "delay":
      return new Promise((resolve) => {
        setTimeout(resolve, action.ms);
      });
    case "stop":
      process.kill(process.pid, "SIGSTOP");
      return Promise.resolve();
  }
};
