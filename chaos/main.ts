/**
 * `npm run chaos`: is it true that nothing is lost, doubled or told wrongly, whatever is killed? Real processes, real stores; see
 * docs/reliability.md.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { check } from "./check/check.ts";
import type { History } from "./check/history.ts";
import { controlExperiment } from "./controls/experiment.ts";
import { experiments } from "./experiments/all.ts";
import { type Experiment, isGood, type Verdict } from "./experiments/experiment.ts";
import { failpointExperiment } from "./failpoints/experiment.ts";
import { shortExperiment } from "./experiments/scenarios.ts";

const say = (line: string): void => void process.stdout.write(`${line}\n`);

const usage = `npm run chaos -- [option …]
  (none)              half a minute: a little of everything
  --long              every experiment, to the bars of docs/reliability.md
  --scenario <name>   one of them; more than once: several
  --failpoints        a process dies between any two writes
  --controls          each mechanism is switched off, and must be missed
  --seed <n>          repeats the decisions of an earlier run
  --seeds <n>         so many seeds, one after the other
  --judge <file>      judges a kept history again
scenarios: ${[shortExperiment, ...experiments].map(({ name }) => name).join(", ")}`;

const known = {
  help: { type: "boolean" },
  long: { type: "boolean" },
  failpoints: { type: "boolean" },
  controls: { type: "boolean" },
  seeds: { type: "string" },
  scenario: { type: "string", multiple: true },
  seed: { type: "string" },
  judge: { type: "string" },
} as const;

const refuse = (why: string): never => {
  process.stderr.write(`${why}\n\n${usage}\n`);
  return process.exit(2);
};

const options = () => {
  try {
    return parseArgs({ options: known }).values;
  } catch (error) {
    return refuse(error instanceof Error ? error.message : String(error));
  }
};

const values = options();
if (values.help) {
  say(usage);
  process.exit(0);
}

/** Below the checkout, and not in git. */
const keepIn = join(import.meta.dirname, "../.chaos");

const keep = (verdict: Verdict, name: string, seed: number): string => {
  mkdirSync(keepIn, { recursive: true });
  const file = join(keepIn, `${name}-${seed}.json`);
  writeFileSync(file, JSON.stringify(verdict.history));
  return file;
};

const tell = (verdict: Verdict): void => {
  say(verdict.text);
  for (const { name, value, bar, met } of verdict.bars) say(`  ${met ? "✓" : "✗"} ${name}: ${value} (${bar})`);
};

const conduct = async (experiment: Experiment, seed: number): Promise<boolean> => {
  say(`\n${experiment.name}: ${experiment.about} (--scenario ${experiment.name} --seed ${seed})`);
  const verdict = await experiment.run({ seed });
  tell(verdict);
  const good = isGood(verdict);
  if (!good && verdict.history) say(`  the history is kept in ${keep(verdict, experiment.name, seed)}`);
  return good;
};

const chosen = (): readonly Experiment[] => {
  if (values.scenario) {
    return values.scenario.map((name) => {
      const found = [shortExperiment, failpointExperiment, controlExperiment, ...experiments].find(
        (experiment) => experiment.name === name,
      );
      return found ?? refuse(`there is no scenario ${name}`);
    });
  }
  const proofs = [...(values.failpoints ? [failpointExperiment] : []), ...(values.controls ? [controlExperiment] : [])];
  if (proofs.length > 0) return proofs;
  return values.long ? experiments : [shortExperiment];
};

if (values.judge === undefined) {
  const seed = Number(values.seed ?? Date.now() % 1_000_000);
  const bad: string[] = [];
  for (const experiment of chosen()) {
    for (let at = seed; at < seed + Number(values.seeds ?? 1); at += 1)
      if (!(await conduct(experiment, at))) bad.push(`${experiment.name} (seed ${at})`);
  }
  say(bad.length === 0 ? "\nall good" : `\nnot good: ${bad.join(", ")}`);
  // At once: what is left of hundreds of reset connections has kept Node from ending by itself (seen with 26.10, in its own clean-up).
  process.exit(bad.length === 0 ? 0 : 1);
} else {
  const found = check(JSON.parse(readFileSync(values.judge, "utf8")) as History);
  for (const { invariant, runId, what } of found) say(`${invariant} ${runId ?? ""} ${what}`);
  process.exitCode = found.length === 0 ? 0 : 1;
}
