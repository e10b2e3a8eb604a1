import { isPreviewEvent, type RunEvent } from "@cortex/contracts";
import fc from "fast-check";
import { expect, test } from "vitest";
import { createClient } from "../client.ts";
import { generatedLog } from "../testing/generated-log.ts";
import { done, frame, runId } from "../testing/recorded-log.ts";
import { reduceRun } from "./reduce-run.ts";
import { emptyRunView, type RunView } from "./run-view.ts";

/**
 * A page that watches a run over a line that breaks anywhere, on any log: its view is the one of the whole log.
 */

/** What a connection does: so many bytes of what is left arrive, and so many entries come once more than they were asked for. */
interface Connection {
  bytes: number;
  repeated: number;
}

/** The log of an epoch, as far as it came, and from which connection on it is the one that is told. */
interface Epoch {
  log: readonly RunEvent[];
  from: number;
  isWhole: boolean;
}

const encoder = new TextEncoder();

/** The API, as far as a stream goes. The line holds once the script of its breaks is used up. */
const serveLog = (epochs: readonly [Epoch, ...Epoch[]], breaks: readonly Connection[]) => {
  let connections = 0;
  const fetch = async (url: Parameters<typeof globalThis.fetch>[0]): Promise<Response> => {
    const number = connections;
    connections += 1;
    const epoch = epochs.findLastIndex(({ from }) => number >= from) + 1;
    const { log, isWhole } = epochs[epoch - 1] ?? epochs[0];
    const [afterEpoch, afterSeq] = (new URL(new Request(url).url).searchParams.get("after") ?? "0.-1")
      .split(".")
      .map(Number);
    const next = afterEpoch === epoch ? (afterSeq ?? -1) + 1 : 0;
    if (isWhole && next === log.length) return new Response(null, { status: 204 });
    const broken = breaks[number];
    const rest = log.slice(Math.max(0, next - (broken?.repeated ?? 0)));
    const text = `retry: 0\n\n: hb\n\n${rest.map((event) => frame(event, { epoch, seq: event.seq })).join("")}${isWhole ? done : ""}`;
    const bytes = encoder.encode(text);
    const arriving = broken ? bytes.subarray(0, broken.bytes) : bytes;
    // In pieces: a frame, a line end and a character may be cut anywhere.
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => {
        for (let at = 0; at < arriving.length; at += 97) controller.enqueue(arriving.slice(at, at + 97));
        if (broken && broken.bytes % 2 === 0) controller.error(new TypeError("the line broke"));
        else controller.close();
      },
    });
    return new Response(body, { headers: { "content-type": "text/event-stream" } });
  };
  return fetch;
};

const watch = (fetch: ReturnType<typeof serveLog>) => {
  const timing = { reconnectMs: 0, longestReconnectMs: 0 };
  const client = createClient({ baseUrl: "http://test", token: "x", fetch, timing });
  return Array.fromAsync(client.watchRun(runId));
};

const viewOf = (log: readonly RunEvent[]): RunView => log.reduce(reduceRun, emptyRunView);

const breaks = fc.array(fc.record({ bytes: fc.nat(3_000), repeated: fc.nat(5) }), { maxLength: 6 });

test("wherever the line breaks and whatever comes twice: every event once, and the view of the whole log", async () => {
  await fc.assert(
    fc.asyncProperty(generatedLog, breaks, async (log, script) => {
      const watched = await watch(serveLog([{ log, from: 0, isWhole: true }], script));
      expect(watched.map(({ event }) => event.seq)).toEqual(log.map(({ seq }) => seq));
      expect(watched.at(-1)?.view).toEqual(viewOf(log));
      for (const [at, { view }] of watched.entries()) expect(view).toEqual(viewOf(log.slice(0, at + 1)));
    }),
    { numRuns: 150 },
  );
});

/** What is stored, and so the same whichever log told it: thoughts and live output are previews only. */
const stored = ({ messages, toolCalls, ...view }: RunView) => ({
  ...view,
  createdAt: null,
  messages: messages.map(({ id, role, status, text, message }) => ({ id, role, status, text, message })),
  toolCalls: toolCalls.map(({ output: _output, ...call }) => call),
});

test("a log that is lost on the way: one resync, and what is stored is the same", async () => {
  await fc.assert(
    fc.asyncProperty(generatedLog, breaks, fc.nat(1_000), fc.nat(6), async (log, script, lostAt, from) => {
      const at = lostAt % log.length;
      // Up to its loss without previews, then as it was written; what had begun is told whole only.
      const begun = new Set(log.slice(0, at).flatMap((event) => ("message_id" in event ? [event.message_id] : [])));
      const kept = log.filter((event, index) => {
        if (index < at) return !isPreviewEvent(event) && event.type !== "message.discarded";
        return !(isPreviewEvent(event) && "message_id" in event && begun.has(event.message_id));
      });
      const first = log[0];
      if (!first) throw new Error("a log is never empty");
      const resync: RunEvent = { type: "resync", seq: 0, run_id: first.run_id, at: first.at, attempt: first.attempt };
      const rebuilt = [resync, ...kept].map((event, seq) => ({ ...event, seq }));
      const epochs = [
        { log: log.slice(0, at), from: 0, isWhole: false },
        { log: rebuilt, from, isWhole: true },
      ] as const;
      const watched = await watch(serveLog(epochs, script));
      expect(watched.filter(({ event }) => event.type === "resync")).toHaveLength(1);
      // From there on it is what somebody sees who comes now: nothing of before is left.
      const anew = watched.slice(watched.findIndex(({ event }) => event.type === "resync"));
      for (const [seen, { view }] of anew.entries()) expect(view).toEqual(viewOf(rebuilt.slice(0, seen + 1)));
      const last = watched.at(-1);
      expect(last && stored(last.view)).toEqual(stored(viewOf(log)));
    }),
    { numRuns: 150 },
  );
});
