import { expect, test } from "vitest";
import type { AgentDeps, AgentInput } from "./agent.ts";
import type { Model, ModelEvent } from "./model.ts";
import { echo } from "./testing/hostile/forbidden-tool.ts";
import { anInput, ofType, play, type Played } from "./testing/run.ts";
import { calls, says, scriptedModel, usage } from "./testing/scripted-model.ts";

/*
 * A model that never comes to an end by itself. Each row ends with a code of its own, long before what a run may do at most; without the guard, which
 * is taken away by its limit, the same model goes on to whatever stands behind it.
 */

const far = { maxSteps: 60, deadline: new Date(Date.now() + 600_000) };
const callsOf = (n: number, text: string): ModelEvent[] => calls({ name: "echo", args: { text }, id: `c${n}` });

/** A model that makes each of its answers from its number. */
const endless = (turn: (n: number) => Iterable<ModelEvent>): Model => {
  let n = 0;
  return {
    name: "endless",
    stream: async function* () {
      yield* turn(n++);
    },
  };
};

const cut = (text: string): ModelEvent[] => [
  { type: "text", text },
  { type: "usage", usage: usage(10, 5) },
  { type: "finish", reason: "length" },
];

const unbounded = Number.MAX_SAFE_INTEGER;
const noGuards = { maxRepeatedCalls: unbounded, maxContinuations: unbounded };

const stepsOf = ({ events }: Played): number => ofType(events, "step.started").length;
const run = (
  model: Model,
  limits: Partial<AgentInput["limits"]> = {},
  deps: Partial<AgentDeps> = {},
): Promise<Played> => play({ tools: [echo], ...deps, model }, anInput({ limits: { ...far, ...limits } }));

test.each([
  { name: "the same call", turn: (n: number) => callsOf(n, "again"), steps: 3, code: "repeated_tool_call" },
  { name: "two calls in turn", turn: (n: number) => callsOf(n, `step ${n % 2}`), steps: 6, code: "repeated_tool_call" },
  { name: "three in turn", turn: (n: number) => callsOf(n, `step ${n % 3}`), steps: 9, code: "repeated_tool_call" },
  { name: "four in turn", turn: (n: number) => callsOf(n, `step ${n % 4}`), steps: 12, code: "repeated_tool_call" },
  {
    name: "the same call with its keys in turn",
    turn: (n: number) =>
      calls({ name: "echo", args: n % 2 ? '{"text":"x","a":1}' : '{"a":1,"text":"x"}', id: `c${n}` }),
    steps: 3,
    code: "repeated_tool_call",
  },
  { name: "words without an end", turn: (n: number) => cut(`part ${n} `), steps: 9, code: "output_truncated" },
])("a model that goes on with $name is stopped", async ({ turn, steps, code }) => {
  const stopped = await run(endless(turn));
  expect(stopped.outcome).toMatchObject({ kind: "failed", code });
  expect(stepsOf(stopped)).toBe(steps);
  const open = await run(endless(turn), noGuards);
  expect(open.outcome).toMatchObject({ kind: "failed", code: "step_limit" });
  expect(stepsOf(open)).toBe(far.maxSteps);
});

test.each([
  { name: "calls of no tool", turn: (n: number) => calls({ name: `tool_${n}`, args: {}, id: `c${n}` }), most: 5 },
  {
    name: "unreadable arguments",
    turn: (n: number) => calls({ name: "echo", args: `{"n":${n}`, id: `c${n}` }),
    most: 3,
  },
  {
    name: "arguments that are too deep",
    turn: (n: number) => calls({ name: "echo", args: `{"a":${"[".repeat(65 + n)}${"]".repeat(65 + n)}}`, id: `c${n}` }),
    most: 3,
  },
  {
    name: "calls that are cut",
    turn: (n: number): ModelEvent[] => [...callsOf(n, `n ${n}`).slice(0, 1), { type: "finish", reason: "length" }],
    most: 3,
  },
  { name: "nothing", turn: (): ModelEvent[] => [{ type: "finish", reason: "stop" }], most: 1 },
  {
    name: "thoughts and nothing else",
    turn: (): ModelEvent[] => [
      { type: "reasoning", text: "hm" },
      { type: "finish", reason: "stop" },
    ],
    most: 1,
  },
])("a model that answers $name is given up", async ({ turn, most }) => {
  const { outcome, ...played } = await run(endless(turn));
  expect(outcome.kind).toBe("failed");
  expect(stepsOf({ outcome, ...played })).toBeLessThanOrEqual(most);
  // The control: what it calls is different each time, so nothing but the guard ends it; a call that fits goes on.
  const open = await run(endless((n) => callsOf(n, `other ${n}`)));
  expect(stepsOf(open)).toBe(far.maxSteps);
});

test("calls that are always others end with the steps or the time", async () => {
  const turn = (n: number) => callsOf(n, `other ${n}`);
  expect((await run(endless(turn))).outcome).toMatchObject({ kind: "failed", code: "step_limit" });
  const late = await run(endless(turn), { deadline: new Date(Date.now() - 1) });
  expect(late.outcome).toMatchObject({ kind: "failed", code: "deadline_exceeded" });
  expect(stepsOf(late)).toBe(0);
});

/** Takes what a model says until this many characters, as a reader without a bound would. */
const drained = async (model: Model, until: number): Promise<number> => {
  let size = 0;
  const request = { model: "demo", instructions: "", messages: [], tools: [], parameters: {}, headers: {} };
  for await (const event of model.stream(request, new AbortController().signal)) {
    if (event.type === "reasoning" || event.type === "text") size += event.text.length;
    if (event.type === "tool_call") size += event.arguments.length;
    if (size > until) break;
  }
  return size;
};

test.each([
  { name: "thoughts", piece: { type: "reasoning", text: "hm ".repeat(10_000) } },
  { name: "words", piece: { type: "text", text: "ha ".repeat(10_000) } },
  { name: "arguments", piece: { type: "tool_call", index: 0, id: "c", name: "echo", arguments: "[".repeat(30_000) } },
] satisfies { name: string; piece: ModelEvent }[])(
  "an answer of endless $name is given up at 4 million characters",
  async ({ piece }) => {
    let pieces = 0;
    const model: Model = {
      name: "endless",
      stream: async function* () {
        for (;;) {
          pieces += 1;
          yield piece;
        }
      },
    };
    const { outcome } = await run(model);
    expect(outcome).toMatchObject({ kind: "failed", code: "model_malformed" });
    // Three tries of at most 4 million characters.
    expect(pieces * 30_000).toBeLessThan(3 * 4_100_000);
    expect(await drained(model, 20_000_000)).toBeGreaterThan(20_000_000);
  },
);

const manyCalls = (count: number): ModelEvent[] =>
  calls(...Array.from({ length: count }, (_, n) => ({ name: "echo", args: { text: `n ${n}` }, id: `c${n % 50}` })));

test("a thousand calls in an answer: 64 act, and the others cost a line each", async () => {
  const { events, outcome } = await run(scriptedModel(manyCalls(1_000), says("done")));
  expect(outcome.kind).toBe("completed");
  const done = ofType(events, "tool_call.completed");
  expect(done.filter((call) => !call.is_error)).toHaveLength(64);
  expect(new Set(done.map((call) => call.tool_call_id)).size).toBe(1_000);
});

test.each([1_001, 10_000, 1_000_000])("an answer of %i calls is none, and is not read to its end", async (count) => {
  let made = 0;
  const model = endless(function* () {
    for (; made < count; made += 1)
      yield { type: "tool_call", index: made, id: `c${made}`, name: "echo", arguments: "{}" };
    yield { type: "finish", reason: "tool_calls" };
  });
  const { events, outcome } = await play({ tools: [echo], model, answerRetriesMs: [] }, anInput({ limits: far }));
  expect(outcome).toMatchObject({ kind: "failed", code: "model_malformed" });
  expect(ofType(events, "tool_call.started")).toEqual([]);
  expect(made).toBeLessThanOrEqual(1_001);
});
