import { AppError, type ToolEffect } from "@cortex/contracts";
import { SandboxError } from "@cortex/sandbox/port";
import { expect, test } from "vitest";
import { z } from "zod";
import { ToolFailure } from "./errors.ts";
import type { AgentEvent } from "./events.ts";
import { runAgent } from "./run-agent.ts";
import { anInput, ofType, oneTurn, play } from "./testing/run.ts";
import { calls, says, scriptedModel, untilAborted } from "./testing/scripted-model.ts";
import { defineTool, type Tool } from "./tool.ts";
import type { ToolAnswer, ToolContext } from "./tool-context.ts";

/** A tool that hears nothing. */
const forever = (): Promise<string> => Promise.withResolvers<string>().promise;

const schema = z.strictObject({ n: z.number().optional() });

const aTool = (
  name: string,
  execute: (args: { n?: number | undefined }, context: ToolContext) => Promise<string | ToolAnswer>,
  options: { effect?: ToolEffect; parallel?: boolean; timeoutMs?: number; maxResultChars?: number } = {},
): Tool =>
  defineTool({
    name,
    title: name,
    description: name,
    schema,
    timeoutMs: 5_000,
    maxResultChars: 1_000,
    effect: "once",
    ...options,
    execute,
  });

/** One step with these calls, then an answer. */
const step = async (tools: Tool[], ...asked: { name: string; n?: number }[]) => {
  const model = scriptedModel(
    calls(...asked.map(({ name, n }) => ({ name, args: n === undefined ? {} : { n } }))),
    says("ok"),
  );
  const played = await play({ model, tools });
  return { ...played, results: ofType(played.events, "tool_call.completed"), model };
};

test("what a tool throws or answers becomes a result with what is known of its effect", async () => {
  const throws = (error: unknown, effect: ToolEffect) =>
    aTool(
      `t_${effect}`,
      async () => {
        throw error;
      },
      { effect },
    );
  const cases: [Tool, string | RegExp, boolean, string][] = [
    [aTool("t", async () => "fine"), "fine", false, "done"],
    [aTool("t", async () => "fine", { effect: "pure" }), "fine", false, "none"],
    [aTool("t", async () => ({ content: "exit 1", isError: true })), "exit 1", true, "done"],
    [throws(new ToolFailure("no such thing"), "once"), "no such thing", true, "failed"],
    [throws(new ToolFailure("no such thing"), "pure"), "no such thing", true, "none"],
    [throws(new SandboxError("file_not_found", "There is no file x."), "once"), "There is no file x.", true, "failed"],
    [throws(new SandboxError("sandbox_stopped", "It died."), "once"), /^It died\. It is not known/, true, "unknown"],
    [throws(new AppError("unavailable", "Down."), "pure"), "Down.", true, "none"],
    [
      throws(new TypeError("at 10.0.0.1 with key"), "once"),
      /^The tool failed unexpectedly \(TypeError\)\. It is not known/,
      true,
      "unknown",
    ],
    [throws("a string", "idempotent"), /^The tool failed unexpectedly \(string\)/, true, "unknown"],
  ];
  for (const [tool, result, isError, effectState] of cases) {
    const { results, outcome } = await step([tool], { name: tool.name });
    expect(results[0]?.result).toMatch(result);
    expect(results[0]).toMatchObject({ is_error: isError, effect_state: effectState });
    expect(outcome.kind).toBe("completed");
  }
});

test("calls run side by side where they may, their results stand in the order of the calls", async () => {
  const gate = Promise.withResolvers<void>();
  const slow = aTool("slow", async () => gate.promise.then(() => "slow"), { effect: "pure" });
  const fast = aTool(
    "fast",
    async () => {
      gate.resolve();
      return "fast";
    },
    { effect: "pure" },
  );
  // `slow` ends only because `fast` runs while it waits.
  const { results, model } = await step([slow, fast], { name: "slow" }, { name: "fast" });
  expect(results.map((result) => result.name)).toEqual(["fast", "slow"]);
  expect(model.requests[1]?.messages.slice(2)).toMatchObject([{ tool_call_id: "call_0" }, { tool_call_id: "call_1" }]);
});

test("a call that must be alone waits for the earlier ones, and the later ones for it", async () => {
  const log: string[] = [];
  const recorded = (name: string, parallel: boolean) =>
    aTool(
      name,
      async ({ n }) => {
        log.push(`+${name}${n}`);
        await oneTurn();
        log.push(`-${name}${n}`);
        return "ok";
      },
      { parallel },
    );
  await step(
    [recorded("p", true), recorded("s", false)],
    { name: "p", n: 1 },
    { name: "p", n: 2 },
    { name: "s", n: 3 },
    { name: "s", n: 4 },
    { name: "p", n: 5 },
  );
  expect(log).toEqual(["+p1", "+p2", "-p1", "-p2", "+s3", "-s3", "+s4", "-s4", "+p5", "-p5"]);
});

test("at most so many calls run at the same time", async () => {
  let running = 0;
  let most = 0;
  const count = aTool("count", async () => {
    most = Math.max(most, (running += 1));
    await oneTurn();
    running -= 1;
    return "ok";
  });
  const asked = Array.from({ length: 30 }, (_, n) => ({ name: "count", args: { n } }));
  const limits = { ...anInput().limits, maxParallelCalls: 4 };
  const { events } = await play(
    { model: scriptedModel(calls(...asked), says("ok")), tools: [count] },
    anInput({ limits }),
  );
  expect(ofType(events, "tool_call.completed")).toHaveLength(30);
  expect(most).toBe(4);
});

test("more calls than an answer may hold are refused, not run", async () => {
  let ran = 0;
  const count = aTool("count", async () => `${(ran += 1)}`);
  const asked = Array.from({ length: 70 }, (_, n) => ({ name: "count", n }));
  const { results } = await step([count], ...asked);
  expect(ran).toBe(64);
  expect(results.filter((result) => result.is_error).map((result) => result.result)).toEqual(
    Array.from({ length: 6 }, () => "Not run: an answer may hold at most 64 tool calls."),
  );
});

test("ids are unique in the conversation, whatever the model sends", async () => {
  const tool = aTool("t", async () => "ok", { effect: "pure" });
  const model = scriptedModel(
    calls(
      { name: "t", args: { n: 1 }, id: "same" },
      { name: "t", args: { n: 2 }, id: "same" },
      { name: "t", args: { n: 3 }, id: null },
      { name: "t", args: { n: 4 }, id: "x".repeat(300) },
    ),
    calls({ name: "t", args: { n: 5 }, id: "same" }),
    says("ok"),
  );
  const { events } = await play({ model, tools: [tool] });
  const ids = ofType(events, "tool_call.completed").map((result) => result.tool_call_id);
  expect(ids[0]).toBe("same");
  expect(new Set(ids).size).toBe(5);
  const asked = ofType(events, "model.completed").flatMap((event) => event.message.tool_calls.map((call) => call.id));
  expect(asked).toEqual(ids);
  expect(new Set(ofType(events, "tool_call.delta").map((event) => event.tool_call_id))).toEqual(new Set(ids));
});

test("output is shown while the tool runs, in its order", async () => {
  const shown = Promise.withResolvers<void>();
  const talk = aTool("talk", async (_, { output }) => {
    await output("one ");
    await shown.promise;
    await output("two");
    return "said";
  });
  const { events } = await play(
    { model: scriptedModel(calls({ name: "talk", args: {} }), says("ok")), tools: [talk] },
    anInput(),
    {
      onEvent: (event) => event.type === "tool_call.output" && shown.resolve(),
    },
  );
  expect(ofType(events, "tool_call.output").map((event) => event.chunk)).toEqual(["one ", "two"]);
});

test("a talkative tool is held back by a slow consumer, and one that does not wait is cut", async () => {
  const megabyte = "x".repeat(1 << 20);
  let most = 0;
  let sent = 0;
  let taken = 0;
  const polite = aTool("polite", async (_, { output }) => {
    for (let at = 0; at < megabyte.length; at += 1_000) {
      await output(megabyte.slice(at, at + 1_000));
      sent = at + 1_000;
      most = Math.max(most, sent - taken);
    }
    return "ok";
  });
  const rude = aTool("rude", async (_, { output }) => {
    const waits = Array.from({ length: 1_000 }, () => output("y".repeat(2_000)));
    await Promise.all(waits);
    return "ok";
  });
  const onEvent = async (event: AgentEvent) => {
    await oneTurn();
    if (event.type === "tool_call.output") taken += event.chunk.length;
  };
  const run = (tool: Tool) =>
    play({ model: scriptedModel(calls({ name: tool.name, args: {} }), says("ok")), tools: [tool] }, anInput(), {
      onEvent,
    });
  const text = (events: AgentEvent[]) =>
    ofType(events, "tool_call.output")
      .map((event) => event.chunk)
      .join("");

  expect(text((await run(polite)).events)).toBe(megabyte);
  expect(most).toBeLessThan(140_000);
  const cut = text((await run(rude)).events);
  expect(cut.length).toBeLessThan(600_000);
  expect(cut).toContain("[… output not shown …]");
});

test("results are cut to the tool's limit, head and tail kept, no character halved", async () => {
  const long = aTool("long", async () => `BEGIN${"\u{1f600}".repeat(2_000)}END`, { maxResultChars: 101 });
  const { results } = await step([long], { name: "long" });
  const result = results[0]?.result ?? "";
  expect(result).toMatch(/^BEGIN.*\n\[… \d+ characters left out …\]\n.*END$/su);
  expect(result.isWellFormed()).toBe(true);
  expect(result.length).toBeLessThan(160);
});

test("a tool that takes too long is told to stop, and left behind when it does not", async () => {
  const obedient = aTool(
    "obedient",
    async (_, { signal }) => {
      await untilAborted(signal);
      throw signal.reason;
    },
    { timeoutMs: 30 },
  );
  const first = await step([obedient], { name: "obedient" });
  expect(first.results[0]).toMatchObject({ is_error: true, effect_state: "unknown" });
  expect(first.results[0]?.result).toMatch(/did not finish within 0 s/);

  const deaf = aTool("deaf", async () => forever(), { timeoutMs: 30, effect: "pure" });
  const startedAt = performance.now();
  const second = await step([deaf], { name: "deaf" });
  expect(performance.now() - startedAt).toBeLessThan(3_000);
  expect(second.results[0]).toMatchObject({ is_error: true, effect_state: "none" });
  expect(second.outcome.kind).toBe("completed");
});

test("an abort leaves what has no result to the caller, without an event", async () => {
  const stop = new AbortController();
  const deaf = aTool("deaf", async () => forever());
  const never = aTool("never", async () => "ran", { parallel: false });
  const quick = aTool("quick", async () => "quick");
  const model = scriptedModel(
    calls({ name: "quick", args: {} }, { name: "deaf", args: {} }, { name: "never", args: {} }),
  );
  const startedAt = performance.now();
  const { events, outcome } = await play({ model, tools: [deaf, never, quick] }, anInput(), {
    signal: stop.signal,
    onEvent: (event) => event.type === "tool_call.completed" && stop.abort("stopped"),
  });
  expect(performance.now() - startedAt).toBeLessThan(3_000);
  expect(ofType(events, "tool_call.completed").map((event) => event.name)).toEqual(["quick"]);
  expect(ofType(events, "step.completed")).toHaveLength(0);
  expect(outcome).toMatchObject({
    kind: "aborted",
    reason: "stopped",
    aborted: ["tool call deaf, left behind"],
    unfinished: [
      {
        tool_call_id: "call_1",
        name: "deaf",
        started: true,
        leftBehind: true,
        effect_state: "unknown",
        result: expect.stringMatching(/did not react .* was left behind.* not known whether it took effect/) as string,
      },
      { tool_call_id: "call_2", name: "never", started: false, leftBehind: false, effect_state: "none" },
    ],
  });
});

test("a call that ends by itself after the abort has a result", async () => {
  const stop = new AbortController();
  const tidy = aTool("tidy", async (_, { signal }) => {
    await untilAborted(signal);
    return "tidied up";
  });
  const { events, outcome } = await play(
    { model: scriptedModel(calls({ name: "tidy", args: {} })), tools: [tidy] },
    anInput(),
    {
      signal: stop.signal,
      onEvent: (event) => event.type === "tool_call.started" && stop.abort(),
    },
  );
  expect(ofType(events, "tool_call.completed")[0]).toMatchObject({ result: "tidied up", effect_state: "done" });
  // The step is whole, so it is closed; then the run ends.
  expect(events.at(-1)?.type).toBe("step.completed");
  expect(outcome).toMatchObject({ kind: "aborted", unfinished: [] });
});

test("the deadline settles what it cuts", async () => {
  const deaf = aTool("deaf", async () => forever());
  const limits = { maxSteps: 5, deadline: new Date(Date.now() + 500) };
  const { events, outcome } = await play(
    { model: scriptedModel(calls({ name: "deaf", args: {} })), tools: [deaf] },
    anInput({ limits }),
  );
  expect(outcome).toMatchObject({ kind: "failed", code: "deadline_exceeded" });
  expect(ofType(events, "tool_call.completed")[0]).toMatchObject({ is_error: true, effect_state: "unknown" });
  expect(events.at(-1)?.type).toBe("step.completed");
});

test("leaving the iteration in the middle aborts the running calls and waits for them", async () => {
  let reason: unknown = null;
  const slow = aTool("slow", async (_, { signal, output }) => {
    await output("working");
    await untilAborted(signal);
    reason = signal.reason;
    return "ended";
  });
  const model = scriptedModel(calls({ name: "slow", args: {} }));
  for await (const event of runAgent({ model, tools: [slow] }, anInput(), new AbortController().signal)) {
    if (event.type === "tool_call.output") break;
  }
  expect(String(reason)).toContain("nobody follows this run");
});

test("a tool learns who calls it, and one that needs a computer is told when there is none", async () => {
  const seen: unknown[] = [];
  const tell = aTool("tell", async (_, { runId, toolCallId, idempotencyKey, now }) => {
    seen.push(runId, toolCallId, idempotencyKey, now() instanceof Date);
    return "ok";
  });
  const compute = aTool("compute", async (_, { openSandbox }) => (await openSandbox()).id);
  const { results } = await step([tell, compute], { name: "tell" }, { name: "compute" });
  const { runId } = anInput();
  expect(seen).toEqual([runId, "call_0", `${runId}:call_0`, true]);
  expect(results.find((result) => result.name === "compute")).toMatchObject({
    result: "This run has no sandbox, so files and commands are not available.",
    effect_state: "failed",
  });
});
