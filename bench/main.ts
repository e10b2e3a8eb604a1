/**
 * `npm run bench`: Cortex beside a bare floor and beside the model alone, in one run on one machine. Ratios of medians over alternating
 * rounds, because the machine's own speed drifts. Nothing is asserted; see docs/benchmarks.md for the bars.
 */
import { cpus } from "node:os";
import { askDirectly } from "./direct.ts";
import { followOne, type Target } from "./follower.ts";
import { residentMb } from "./processes.ts";
import { startBench } from "./stack.ts";

const rounds = Number(process.env["BENCH_ROUNDS"] ?? 5);
const soakRuns = Number(process.env["BENCH_SOAK_RUNS"] ?? 1_000);
const bigRun = 10_000;
const short = "[[tokens=5]]";

const median = (values: number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
const say = (line: string): void => void process.stdout.write(`${line}\n`);
const cell = (value: number, unit: string): string => `${value >= 100 ? value.toFixed(0) : value.toFixed(2)} ${unit}`;

/** Short runs, so many at once, until `total` are done. */
const throughput = async (target: Target, inFlight: number, total: number): Promise<number> => {
  await target.prepare(total);
  let left = total;
  const startedAt = performance.now();
  const lane = async () => {
    while (left-- > 0) await followOne(target, short);
  };
  await Promise.all(Array.from({ length: inFlight }, lane));
  return total / ((performance.now() - startedAt) / 1_000);
};

const bench = await startBench();
const { cortex, floor, model } = bench;
try {
  say(`Node ${process.version}, ${cpus().length} × ${cpus()[0]?.model ?? "?"}; ${rounds} alternating rounds, medians`);
  say(`durability as shipped: ${bench.durability}`);
  const figures = new Map<string, { cortex: number[]; floor: number[]; direct: number[] }>();
  const note = (name: string, who: "cortex" | "floor" | "direct", value: number) => {
    const row = figures.get(name) ?? { cortex: [], floor: [], direct: [] };
    row[who].push(value);
    figures.set(name, row);
  };

  for (const target of [cortex, floor]) await throughput(target, 4, 40); // warm
  for (let round = 0; round < rounds; round++) {
    const order = round % 2 === 0 ? [cortex, floor] : [floor, cortex];
    for (const target of order) {
      const who = target === cortex ? "cortex" : "floor";
      await target.prepare(21);
      const single = [];
      for (let n = 0; n < 20; n++) single.push(await followOne(target, short));
      note("start request, ms", who, median(single.map((one) => one.startMs)));
      note("time to first text, ms", who, median(single.map((one) => one.firstTextMs)));
      const big = await followOne(target, `[[tokens=${bigRun}]]`);
      const expected = await askDirectly({ ...model, prompt: `[[tokens=${bigRun}]]` });
      if (big.text !== expected.text) throw new Error(`${who}: the text of the big run is not the model's`);
      note("big run, chunks/s", who, bigRun / ((big.endMs - big.startMs) / 1_000));
      note("big run, events", who, big.events);
      if (who === "cortex") note("big run, chunks/s", "direct", expected.chunks / (expected.endMs / 1_000));
      for (const inFlight of [1, 16, 64]) {
        note(`runs/s, ${inFlight} in flight`, who, await throughput(target, inFlight, inFlight === 1 ? 30 : 128));
      }
    }
    const direct = [];
    for (let n = 0; n < 20; n++) direct.push(await askDirectly({ ...model, prompt: short }));
    note("time to first text, ms", "direct", median(direct.map((one) => one.firstTextMs)));
  }

  say("");
  say(`${"".padEnd(26)}${"cortex".padStart(12)}${"floor".padStart(12)}${"ratio".padStart(9)}${"model".padStart(12)}`);
  for (const [name, row] of figures) {
    const [c, f, d] = [median(row.cortex), median(row.floor), median(row.direct)];
    const direct = Number.isNaN(d) ? "" : cell(d, "");
    say(
      `${name.padEnd(26)}${cell(c, "").padStart(12)}${cell(f, "").padStart(12)}${(c / f).toFixed(2).padStart(9)}${direct.padStart(12)}`,
    );
  }

  say("");
  say(`memory over ${soakRuns} short runs, 16 in flight (resident MB after each fifth)`);
  const memory = new Map(bench.processes.map(({ name }) => [name, [] as (number | null)[]]));
  for (let part = 0; part < 5; part++) {
    await throughput(cortex, 16, Math.ceil(soakRuns / 5));
    for (const { name, pid } of bench.processes) memory.get(name)?.push(residentMb(pid));
  }
  for (const [name, sizes] of memory)
    say(`${name.padEnd(26)}${sizes.map((mb) => (mb === null ? "?" : mb.toFixed(0)).padStart(8)).join("")}`);
} finally {
  await bench.close();
}
