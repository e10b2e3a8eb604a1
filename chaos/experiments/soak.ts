import { Redis } from "ioredis";
import { type Fleet, startFleet } from "../fleet/fleet.ts";
import { pause } from "../load/pause.ts";
import { atMost, exactly, type Experiment } from "./experiment.ts";
import { descriptors } from "./process-figures.ts";

const parts = 5;
const runsOfPart = 200;
const atOnce = 10;

interface Sample {
  /** Keys that belong neither to a log, which lives a day, nor to a job that the queue keeps, which are 1,000 at most. */
  otherKeys: number;
  /** Logs of ended runs that would stay for ever. */
  logsWithoutEnd: number;
  descriptors: number;
}

/** Everything that must not grow with the number of runs that have been. */
const sample = async (fleet: Fleet): Promise<Sample> => {
  const redis = new Redis(fleet.redis.url);
  try {
    const keys = await redis.keys("*");
    const logs = keys.filter((key) => key.startsWith("agent_run:"));
    const lives = await Promise.all(logs.map((key) => redis.ttl(key)));
    return {
      otherKeys: keys.filter((key) => !key.startsWith("agent_run:") && !/:run-[0-9a-f-]{36}-\d+$/.test(key)).length,
      logsWithoutEnd: lives.filter((seconds) => seconds < 0).length,
      descriptors: [...fleet.apis, ...fleet.workers].reduce((sum, process) => sum + descriptors(process), 0),
    };
  } finally {
    redis.disconnect();
  }
};

/** A thousand runs one after the other on the same processes: what is left behind does not grow. */
export const soak: Experiment = {
  name: "soak",
  about: "1,000 runs on the same processes: nothing is left behind",
  run: async () => {
    const fleet = await startFleet({ apis: 1, workers: 1, concurrency: atOnce });
    try {
      const client = fleet.client(await fleet.person());
      const samples: Sample[] = [];
      for (let part = 0; part < parts; part += 1) {
        let left = runsOfPart;
        const lane = async (): Promise<void> => {
          for (; left > 0;) {
            left -= 1;
            const thread = await client.createThread({});
            const { agent_run_id: runId } = await client.startRun(thread.id, { prompt: "[[tokens=5]]" });
            await Array.fromAsync(client.followRun(runId));
          }
        };
        await Promise.all(Array.from({ length: atOnce }, lane));
        // Connections that are kept for the next request, and the queue's own leftovers, go within a few seconds.
        await pause(6_000);
        samples.push(await sample(fleet));
      }
      const [first, last] = [samples[0], samples.at(-1)];
      if (!first || !last) throw new Error("no samples");
      const [completed] = await fleet.ask<{ n: number }>(
        "select count(*)::int as n from cortex.agent_runs where status = 'completed'",
      );
      const complaints = [...fleet.apis, ...fleet.workers].filter((process) =>
        /MaxListenersExceeded/.test(process.output()),
      );
      return {
        text: `soak: ${samples.map(({ otherKeys, descriptors: open }) => `${otherKeys} keys, ${open} descriptors`).join(" · ")}`,
        bars: [
          exactly("completed", completed?.n ?? 0, parts * runsOfPart),
          atMost("more keys of Redis than after the first part", last.otherKeys - first.otherKeys, 0),
          exactly("logs that would stay for ever", last.logsWithoutEnd, 0),
          atMost("more descriptors than after the first part", last.descriptors - first.descriptors, 10),
          exactly("processes that warned of listeners", complaints.length, 0),
        ],
        violations: [],
        history: null,
      };
    } finally {
      await fleet.close();
    }
  },
};
