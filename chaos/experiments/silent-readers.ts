import { connect, type Socket } from "node:net";
import { startFleet } from "../fleet/fleet.ts";
import { pause } from "../load/pause.ts";
import { atLeast, atMost, exactly, type Experiment } from "./experiment.ts";
import { residentMb, unsent } from "./process-figures.ts";

const readers = 50;

/** Followers that read, in every run: what they cost is not what the silent ones cost. */
const reading = 10;

/** A log of 6 MB: within its bound (8 MiB), and more than the kernel takes for a reader who does not read (some 3 MB on Linux). */
const prompt = "[[batch=8]][[chunk=350]][[tokens=9000]]";

/** Opens a stream and never reads it: the window closes, and everything after it has to wait somewhere. */
const openSilently = (port: number, path: string, token: string): Socket => {
  const socket = connect({ host: "127.0.0.1", port });
  socket.pause();
  socket.on("error", () => {}); // dropped by the server: meant so
  socket.write(`GET ${path} HTTP/1.1\r\nhost: fleet\r\nauthorization: Bearer ${token}\r\n\r\n`);
  return socket;
};

/** Fifty sockets that never read cost the API little memory and nobody else anything. */
export const silentReaders: Experiment = {
  name: "silent-readers",
  about: "50 sockets that never read, on a run with a large log",
  run: async () => {
    const fleet = await startFleet({ apis: 1, workers: 1 });
    const sockets: Socket[] = [];
    try {
      const [api] = fleet.apis;
      if (!api) throw new Error("no API");
      const person = await fleet.person();
      const client = fleet.client(person);
      const follow = async (silent: number): Promise<{ ms: number; text: number }> => {
        const thread = await client.createThread({});
        const { agent_run_id: runId } = await client.startRun(thread.id, { prompt });
        for (let reader = 0; reader < silent; reader += 1)
          sockets.push(openSilently(api.port, `/api/agent-run/${runId}/stream`, person.token));
        const startedAt = performance.now();
        const read = async (): Promise<number> => {
          let text = 0;
          for await (const event of client.followRun(runId))
            if (event.type === "message.delta") text += event.text.length;
          return text;
        };
        const texts = await Promise.all(Array.from({ length: reading }, read));
        return { ms: performance.now() - startedAt, text: texts.reduce((sum, length) => sum + length, 0) };
      };
      // The first runs warm it up, so that what the readers cost is not what a first run costs.
      await follow(0);
      const alone = await follow(0);
      const before = residentMb(api);
      const beside = await follow(readers);
      let most = residentMb(api);
      const stuck = unsent(api.port);
      for (let look = 0; look < 20; look += 1) {
        await pause(250);
        most = Math.max(most, residentMb(api));
      }
      const after = await follow(0);
      return {
        text: `silent-readers: alone ${Math.round(alone.ms)} ms, beside them ${Math.round(beside.ms)} ms, then ${Math.round(after.ms)} ms`,
        bars: [
          atLeast("readers for whom something waits in the kernel", stuck, readers),
          exactly("text of those who read", beside.text, alone.text),
          atMost("memory of the API", most - before, 50, " MB"),
        ],
        violations: [],
        history: null,
      };
    } finally {
      for (const socket of sockets) socket.destroy();
      await fleet.close();
    }
  },
};
