import { expect, test } from "vitest";
import { z } from "zod";
import type { AgentOutcome } from "./agent.ts";
import { textOf } from "./messages.ts";
import type { ModelRequest } from "./model.ts";
import { runAgent } from "./run-agent.ts";
import { KeptRun } from "./testing/interplay/kept-run.ts";
import {
  flawsOf,
  isForSummary,
  type Random,
  randomFrom,
  smallModels,
  wildModel,
} from "./testing/interplay/wild-model.ts";
import { anInput, oneTurn } from "./testing/run.ts";
import { defineTool, type ToolDefinition } from "./tool.ts";
import { withXmlTools } from "./xml/with-xml-tools.ts";

const schema = z.strictObject({ n: z.int() });

/** Tools that see to it themselves that nothing happens twice, or without a person. What they throw would only be a result, so they tell. */
const toolsFor = (random: Random, approved: ReadonlyMap<string, number>, tell: (what: string) => void) => {
  const ran = new Set<string>();
  const a = (name: string, rest: Partial<ToolDefinition<typeof schema>>, longest = 20) =>
    defineTool({
      name,
      title: name,
      description: `Does ${name}.`,
      effect: "pure",
      schema,
      timeoutMs: 5_000,
      maxResultChars: 4_000,
      ...rest,
      execute: async ({ n }, { toolCallId }) => {
        if (rest.effect === "once" && ran.has(toolCallId)) tell(`${name} ${toolCallId} happened twice`);
        ran.add(toolCallId);
        if (rest.approval === "always" && approved.get(toolCallId) !== n) tell(`nobody approved ${name} ${n}`);
        await oneTurn();
        return `${name} ${n} ${"r".repeat(random() * longest)}`;
      },
    });
  return [
    a("act", { effect: "once", parallel: false }),
    a("look", {}, 3_000),
    a("pay", { effect: "once", approval: "always" }),
    a("mail", { approval: "if_tainted" }),
    a("web", { untrusted: true }, 800),
    a("complete", { endsRun: true }),
  ];
};

/** People decide about each call that waits: yes, no, or something else. */
const decide = (kept: KeptRun, random: Random, approved: Map<string, number>): void => {
  for (const one of kept.calls) {
    if (one.state !== "awaiting") continue;
    const luck = random();
    if (luck < 0.6) approved.set(one.call.id, schema.parse(one.call.arguments).n);
    else if (luck >= 0.8) approved.set(one.call.id, -5);
    one.decision =
      luck < 0.6
        ? { kind: "approve" }
        : luck < 0.8
          ? { kind: "reject", comment: "no" }
          : { kind: "edit", arguments: { n: -5 }, comment: null };
  }
};

/** Lives a run, from its first attempt to its end. @returns how it ended, and what of it was met on the way */
const live = async (seed: number) => {
  const random = randomFrom(seed);
  const kept = new KeptRun();
  const approved = new Map<string, number>();
  const wrong: string[] = [];
  const met = { deaths: 0, waits: 0, summaries: 0 };
  let posted = 0;
  const post = () => kept.post(`user ${posted++} says ${"w".repeat(random() * 300)}.`);
  post();
  let asked: ModelRequest | null = null;
  const model = wildModel(random, (request) => {
    if (isForSummary(request)) return;
    asked = request;
    wrong.push(...flawsOf(request));
  });
  const tools = toolsFor(random, approved, (what) => wrong.push(what));
  const deps = {
    model: random() < 0.2 ? withXmlTools(model, { mark: "k7q2" }) : model,
    catalogue: smallModels,
    tools,
    answerRetriesMs: [0],
  };
  const limits = { ...anInput().limits, maxSteps: 60, maxCostUsd: "5" };
  const fallbackModels = random() < 0.5 ? ["smaller", "large"] : ["large"];

  /** Null: its worker died. */
  const attempt = async (): Promise<AgentOutcome | null> => {
    const nextMessages = async () => kept.news();
    const input = anInput({ model: "small", fallbackModels, limits, ...kept.read() });
    const run = runAgent({ ...deps, hooks: { nextMessages } }, input, new AbortController().signal);
    for (;;) {
      const next = await run.next();
      if (next.done) return next.value;
      const dies = random();
      if (random() < 0.01) post();
      if (next.value.type === "context.compacted") met.summaries += 1;
      if (dies >= 0.02) kept.keep(next.value);
      if (dies < 0.04) {
        await run.return({ kind: "completed" } as AgentOutcome);
        kept.forget();
        return null;
      }
    }
  };

  for (let attempts = 1; ; attempts += 1) {
    expect(attempts).toBeLessThan(400);
    const outcome = await attempt();
    if (outcome === null) met.deaths += 1;
    else if (outcome.kind === "waiting") {
      met.waits += 1;
      kept.charge(outcome.unreported);
      if (outcome.reason === "approval") {
        const open = kept.calls.flatMap(({ call, state }) => (state === "awaiting" ? [call.id] : []));
        expect(outcome.approvals.map((one) => one.tool_call_id)).toEqual(open);
        decide(kept, random, approved);
      }
    } else {
      const goesOn = outcome.kind === "completed" && kept.postedMeanwhile;
      kept.storeLast();
      if (goesOn) continue;
      kept.charge(outcome.unreported);
      return { outcome, kept, met, wrong, asked: asked as ModelRequest | null };
    }
    if (random() < 0.3) post();
  }
};

test("whatever a model does and wherever workers die: no effect twice or unasked, no message unread, no cent lost", async () => {
  const sum = { deaths: 0, waits: 0, summaries: 0, completed: 0 };
  for (let seed = 1; seed <= 80; seed += 1) {
    const { outcome, kept, met, wrong, asked } = await live(seed);
    expect({ seed, wrong }).toEqual({ seed, wrong: [] });
    for (const what of ["deaths", "waits", "summaries"] as const) sum[what] += met[what];
    expect({ seed, cost: outcome.cost_usd }).toEqual({ seed, cost: kept.spent.cost_usd });
    if (outcome.kind !== "completed") continue;
    sum.completed += 1;
    const newest = kept.rows.findLast(({ step }) => step === null)?.message.content ?? [];
    const read = asked?.messages.map(({ content }) => textOf(content)).join("\n") ?? "";
    expect({ seed, read: read.includes(textOf(newest)) }).toEqual({ seed, read: true });
  }
  // Otherwise it says nothing.
  expect(Math.min(sum.deaths, sum.waits, sum.completed, sum.summaries)).toBeGreaterThan(5);
});
