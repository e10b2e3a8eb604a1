import type { Violation } from "../check/history.ts";
import type { Fleet, Person } from "../fleet/fleet.ts";
import type { Control } from "./controls.ts";
import { setStage } from "./stage.ts";

export interface Performance {
  violations: Violation[];
  ms: number;
}

export interface ControlOutcome {
  control: Control;
  /** As shipped; must be without a violation, or the play itself breaks something. */
  on: Performance;
  off: Performance;
  /** Why this control has not shown what it is for; empty if it has. */
  complaints: string[];
}

const perform = async (
  fleet: Fleet,
  control: Control,
  input: { person: Person; without: boolean; tookMs: number | null },
): Promise<Performance> => {
  const { person, tookMs } = input;
  const without = input.without ? control.mechanism : null;
  const { stage, judge } = await setStage(fleet, { person, without, tookMs });
  const startedAt = performance.now();
  await control.play(stage);
  const ms = performance.now() - startedAt;
  return { violations: await judge(), ms };
};

/** Plays a control with its mechanism and without it. */
export const tryControl = async (fleet: Fleet, control: Control): Promise<ControlOutcome> => {
  const person = await fleet.person();
  const on = await perform(fleet, control, { person, without: false, tookMs: null });
  const off = await perform(fleet, control, { person, without: true, tookMs: on.ms });
  const allowed = new Set([control.breaks, ...control.follows.map(({ invariant }) => invariant)]);
  const complaints = on.violations.map(({ invariant, what }) => `with it: ${invariant} ${what}`);
  if (!off.violations.some(({ invariant }) => invariant === control.breaks))
    complaints.push(`without it ${control.breaks} holds: it is redundant, or the proof is blind`);
  for (const { invariant, what } of off.violations) {
    if (!allowed.has(invariant)) complaints.push(`without it ${invariant} breaks, which was not expected: ${what}`);
  }
  return { control, on, off, complaints };
};
