import fc from "fast-check";
import { expect } from "vitest";
import { logFaults, readControl, violations } from "./run-checks.ts";
import type { RunWorld } from "./run-world.ts";

/** Everything that can happen. */
export const acts = [
  "start",
  "admit",
  "claim",
  "work",
  "time comes",
  "decide",
  "post",
  "stop",
  "lose lease",
  "take over",
  "hand over",
  "abandon",
  "beat",
  "sweep",
  "lose queue",
  "lose log",
  "fleet",
  "delete",
] as const;
export type Act = (typeof acts)[number];

/** An act, and two numbers that say whose turn it is and what is done. */
export type Op = [act: Act, which: number, what: number];

const often: readonly Act[] = [
  "start",
  "start",
  "claim",
  "claim",
  "time comes",
  "decide",
  "decide",
  ...Array.from({ length: 12 }, () => "work" as const),
];
export const anOp: fc.Arbitrary<Op> = fc.tuple(fc.constantFrom<Act>(...acts, ...often), fc.nat(40), fc.nat(40));

/** Whose turn a number stands for; null if there is nobody. */
export const nth = <Item>(items: readonly Item[], n: number): Item | null =>
  items[n % Math.max(1, items.length)] ?? null;

/** Whatever is left comes to its end: stops are granted, logs are closed, and every log says what Postgres says. */
export const endAll = async (world: RunWorld): Promise<void> => {
  for (const run of world.runs) {
    await world.stop(run);
    await world.loseLease(run.runId);
  }
  await world.sweep();
  await world.sweep();
  expect((await readControl(world)).filter(({ terminal_writes: writes }) => writes !== 1)).toEqual([]);
  expect(await violations(world)).toEqual([]);
  for (const run of world.runs) expect(await logFaults(world, run)).toEqual([]);
};
