import { FAILPOINTS, type Failpoint, type Mechanism, MECHANISMS } from "./names.ts";

/**
 * What happens at an armed failpoint.
 * - crash: SIGKILL to its own process;
 * - error: throws, with `code` as its code if one is given (`ECONNRESET`: a connection that broke);
 * - delay: this one waits, the process goes on;
 * - stop: SIGSTOP to its own process, which stands still with its heartbeats, like a paused machine, until somebody sends SIGCONT.
 */
export type FaultAction =
  | { kind: "crash" | "stop" }
  | { kind: "error"; code: string | null }
  | { kind: "delay"; ms: number };

export interface ArmedFailpoint {
  name: Failpoint;
  action: FaultAction;
  /** Acts at this hit of the process, the first being 1, and never again. */
  atHit: number;
}

export interface FaultPlan {
  failpoints: readonly ArmedFailpoint[];
  /** Where hits are recorded, so that whoever armed them can tell which were reached; null if nothing is armed. */
  file: string | null;
  off: ReadonlySet<Mechanism>;
}

/** The variables of an app that say what is to go wrong in it. */
export interface FaultVariables {
  FAILPOINTS?: string | undefined;
  FAILPOINTS_FILE?: string | undefined;
  MECHANISMS_OFF?: string | undefined;
  NODE_ENV?: string | undefined;
}

/** Faults are asked for that nobody can mean; the message says why, in a sentence for the terminal. */
export class FaultPlanError extends Error {
  override readonly name = "FaultPlanError";
}

const items = (text: string | undefined): string[] =>
  (text ?? "")
    .split(",")
    .map((item) => item.trim())
    .filter((item) => item !== "");

const grammar = /^(?<name>[a-z._]+)=(?<kind>crash|error|delay|stop)(?::(?<value>\w+))?(?:@(?<hit>[1-9]\d{0,6}))?$/;

const actionOf = (kind: string | undefined, value: string | undefined): FaultAction | null => {
  switch (kind) {
    case "crash":
    case "stop":
      return value === undefined ? { kind } : null;
    case "error":
      return { kind, code: value ?? null };
    case "delay":
      return /^\d{1,6}$/.test(value ?? "") ? { kind, ms: Number(value) } : null;
    default:
      return null;
  }
};

const armedFailpoint = (text: string): ArmedFailpoint => {
  const { name, kind, value, hit } = grammar.exec(text)?.groups ?? {};
  const action = actionOf(kind, value);
  if (!action) {
    throw new FaultPlanError(
      `FAILPOINTS: "${text}" is not name=crash, name=error[:CODE], name=delay:<ms> or name=stop, each with @<hit>`,
    );
  }
  const known = FAILPOINTS.find((one) => one === name);
  if (!known) throw new FaultPlanError(`FAILPOINTS: there is no failpoint ${name}`);
  return { name: known, action, atHit: Number(hit ?? 1) };
};

const mechanism = (text: string): Mechanism => {
  const known = MECHANISMS.find((one) => one === text);
  if (!known) throw new FaultPlanError(`MECHANISMS_OFF: there is no mechanism ${text}`);
  return known;
};

/**
 * What an app's environment asks for, as `step.after_commit=crash@3,append.before=delay:200` and `fence,outbox`. Null: nothing, as always
 * outside of tests.
 * @throws FaultPlanError for a name that does not exist, for a failpoint with two actions (the second would never act), for failpoints without a
 *   file to record them in, and for anything in production
 */
export const planFaults = (env: FaultVariables): FaultPlan | null => {
  const failpoints = items(env.FAILPOINTS).map(armedFailpoint);
  const off = new Set(items(env.MECHANISMS_OFF).map(mechanism));
  if (failpoints.length === 0 && off.size === 0) return null;
  if (env.NODE_ENV === "production") {
    throw new FaultPlanError("FAILPOINTS and MECHANISMS_OFF break things on purpose: not with NODE_ENV=production");
  }
  const twice = failpoints.find(({ name }, index) => failpoints.findIndex((other) => other.name === name) !== index);
  if (twice) throw new FaultPlanError(`FAILPOINTS: ${twice.name} stands there twice`);
  const file = env.FAILPOINTS_FILE ?? null;
  if (failpoints.length > 0 && file === null) {
    throw new FaultPlanError("FAILPOINTS needs FAILPOINTS_FILE: a fault that nobody can see is armed for nothing");
  }
  return { failpoints, file, off };
};
