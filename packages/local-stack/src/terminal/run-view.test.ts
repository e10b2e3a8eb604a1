import { noUsage, RunEvent } from "@cortex/contracts";
import { expect, test } from "vitest";
import { createRunView } from "./run-view.ts";
import { chooseStyle } from "./style.ts";

const runId = "11111111-1111-4111-8111-111111111111";
const messageId = "22222222-2222-4222-8222-222222222222";
const threadId = "33333333-3333-4333-8333-333333333333";
const totals = { usage: { ...noUsage, input_tokens: 341, output_tokens: 52 }, cost_usd: "0.0012" };

/** Draws events, each 100 ms after the one before; they must be valid on the wire. */
function draw(payloads: object[], style = chooseStyle({ isTerminal: false, noColor: undefined })): string {
  let drawn = "";
  const view = createRunView((text) => (drawn += text), style);
  for (const [seq, payload] of payloads.entries()) {
    const at = new Date(Date.UTC(2026, 10, 20, 12, 0, 0, seq * 100)).toISOString();
    view.show(RunEvent.parse({ seq, run_id: runId, at, attempt: 1, ...payload }));
  }
  return drawn;
}

const delta = (text: string, id = messageId) => ({ type: "message.delta", message_id: id, text });
const completed = (text: string, more: object = {}) => ({
  type: "message.completed",
  message: {
    id: messageId,
    thread_id: threadId,
    run_id: runId,
    seq: 1,
    role: "assistant",
    status: "complete",
    content: [{ type: "text", text }],
    metadata: {},
    created_at: "2026-11-20T12:00:00.000Z",
    ...more,
  },
});
const call = (id: string, expression: string) => ({
  type: "tool_call.started",
  tool_call_id: id,
  name: "calculator",
  arguments: { expression },
});
const result = (id: string, text: string, more: object = {}) => ({
  type: "tool_call.completed",
  tool_call_id: id,
  name: "calculator",
  result: text,
  is_error: false,
  effect_state: "done",
  duration_ms: 2,
  ...more,
});

test("a run with a tool: text as it comes, the call with arguments and result, times and cost", () => {
  const drawn = draw([
    { type: "run.queued", position: 0 },
    { type: "run.started", model: "demo", agent_version_id: threadId },
    { type: "step.started", step: 0, model: "demo" },
    delta("Let me "),
    delta("see."),
    completed("Let me see."),
    call("a", "5 + 10"),
    result("a", "15"),
    { type: "step.completed", step: 0, model: "demo", usage: noUsage, cost_usd: "0", duration_ms: 5 },
    { type: "run.completed", ...totals },
  ]);
  expect(drawn).toBe(
    [
      "  model demo",
      "Let me see.",
      '  > calculator {"expression":"5 + 10"}',
      "    = 15 (2 ms)",
      "  completed in 0.90 s · first text after 0.30 s · 1 step, 1 tool call · 341 tokens in, 52 out · $0.0012",
      "",
    ].join("\n"),
  );
});

test("a message without deltas is drawn whole, one with a part of them is completed, one that differs is drawn again", () => {
  expect(draw([completed("All of it.")])).toBe("All of it.\n");
  expect(draw([delta("All "), completed("All of it.")])).toBe("All of it.\n");
  expect(draw([delta("None"), completed("All of it.")])).toBe(
    "None\n  (the text above is void, this is the message)\nAll of it.\n",
  );
});

test("discarded text is said to be void", () => {
  expect(draw([delta("half"), { type: "message.discarded", message_id: messageId, reason: "stream broke" }])).toBe(
    "half\n  (the text above is void: stream broke)\n",
  );
});

test("a failed call and an uncertain one look different from a good one", () => {
  expect(draw([result("a", "division by zero", { is_error: true })])).toBe("    x division by zero (2 ms)\n");
  expect(draw([result("a", "lost", { effect_state: "unknown" })])).toContain("whether it took effect is unknown");
});

test("output that was drawn live is not drawn again as the result", () => {
  const drawn = draw([
    { type: "tool_call.output", tool_call_id: "a", chunk: "one\ntwo\n" },
    result("a", "exit 0\none\ntwo\n"),
  ]);
  expect(drawn).toBe("    | one\n      two\n    = done (2 ms)\n");
});

test("a long result is cut and says by how much", () => {
  const drawn = draw([result("a", "x".repeat(5_000))]);
  expect(drawn).toContain("… 3800 more characters");
  expect(drawn.length).toBeLessThan(1_400);
});

test("a failed run says its code", () => {
  const drawn = draw([
    { type: "run.failed", ...totals, error: { code: "model_rate_limited", message: "try later", retryable: true } },
  ]);
  expect(drawn).toContain("model_rate_limited: try later");
  expect(drawn).toContain("failed");
});

test("a wait says why and how long in one line, and nobody takes the run over from it", () => {
  const drawn = draw([
    { type: "run.started", model: "demo", agent_version_id: threadId },
    { type: "run.waiting", reason: "provider_limit", resume_at: "2026-11-20T12:00:30.100Z" },
    { type: "attempt.started", attempt: 2 },
    { type: "run.resumed", reason: "provider_limit", attempt: 2 },
    { type: "attempt.started", attempt: 3 },
  ]);
  expect(drawn).toBe(
    [
      "  model demo",
      "  waiting: the model's provider lets nobody through, for 30.00 s",
      "  goes on",
      "  (a worker took the run over, attempt 3)",
      "",
    ].join("\n"),
  );
});

/** Clears the screen, fills the clipboard, moves up, rings, turns the direction of writing around, comes back to the start of the line. */
const steering = "\u001b[2J\u001b]52;c;aGk=\u0007\u009b1A\u0008\u202egnp\u2066\rhi\u0000";

test("a model cannot steer the terminal, wherever its words stand", () => {
  const asked = { tool_call_id: steering, name: steering };
  const approval = { ...asked, arguments: { [steering]: steering }, digest: "0".repeat(64) };
  const drawn = draw([
    { type: "run.started", model: steering, agent_version_id: threadId },
    { type: "step.started", step: 0, model: steering },
    delta(steering),
    completed(`${steering} and more`),
    completed(steering, { role: "user" }),
    { type: "message.discarded", message_id: messageId, reason: steering },
    { type: "tool_call.delta", ...asked, arguments_delta: steering },
    { type: "tool_call.started", ...asked, arguments: { [steering]: [steering] } },
    { type: "tool_call.started", ...asked, arguments: steering },
    { type: "tool_call.output", tool_call_id: steering, chunk: steering },
    result(steering, steering),
    { type: "run.waiting", reason: steering, approvals: [approval] },
    { type: "run.waiting", reason: steering },
    { type: "run.resumed", reason: steering },
  ]);
  let noted = "";
  const style = chooseStyle({ isTerminal: false, noColor: undefined });
  createRunView((text) => (noted += text), style).note(`refused: ${steering}`);
  expect([drawn, noted]).toEqual([expect.stringContaining("hi"), expect.stringContaining("hi")]);
  // oxlint-disable-next-line no-control-regex -- control characters are the point
  expect(drawn + noted).not.toMatch(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/);
});

test("colours only for a terminal that wants them", () => {
  const on = chooseStyle({ isTerminal: true, noColor: undefined });
  expect(on.bold("x")).toBe("\u001b[1mx\u001b[22m");
  expect(chooseStyle({ isTerminal: true, noColor: "1" }).bold("x")).toBe("x");
  expect(chooseStyle({ isTerminal: false, noColor: undefined }).bold("x")).toBe("x");
});
