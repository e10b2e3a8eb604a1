import type { History, Violation } from "../check/history.ts";

/** One figure and what it must be. */
export interface Bar {
  name: string;
  value: string;
  bar: string;
  met: boolean;
}

/** What an experiment found out. */
export interface Verdict {
  text: string;
  bars: Bar[];
  violations: Violation[];
  /** To be kept if something is wrong; null where there is no load to write one about. */
  history: History | null;
}

/** One question to a fleet of its own. */
export interface Experiment {
  name: string;
  about: string;
  run(input: { seed: number }): Promise<Verdict>;
}

export const isGood = ({ bars, violations }: Verdict): boolean =>
  violations.length === 0 && bars.every(({ met }) => met);

export const atMost = (name: string, value: number, most: number, unit = ""): Bar => ({
  name,
  value: `${round(value)}${unit}`,
  bar: `≤ ${most}${unit}`,
  met: value <= most,
});

export const atLeast = (name: string, value: number, least: number, unit = ""): Bar => ({
  name,
  value: `${round(value)}${unit}`,
  bar: `≥ ${least}${unit}`,
  met: value >= least,
});

export const exactly = (name: string, value: number, expected: number): Bar => ({
  name,
  value: String(value),
  bar: `= ${expected}`,
  met: value === expected,
});

const round = (value: number): string => (Number.isInteger(value) ? String(value) : value.toFixed(1));
