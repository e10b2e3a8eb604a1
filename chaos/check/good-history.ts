import { runScript } from "../load/run-script.ts";
import type { History } from "./history.ts";

const runId = "11111111-1111-4111-8111-111111111111";
const threadId = "22222222-2222-4222-8222-222222222222";
const account = "33333333-3333-4333-8333-333333333333";
const usage = { input_tokens: 1, output_tokens: 1 };

/** The history of one run in which every promise was kept: three steps, taken over once, followed by two. What tests break. */
export const goodHistory = (): History => {
  const whole = runScript("r0", { steps: 4, words: 2, delayMs: 0 });
  // Two calls are enough: one that may be repeated, one that may not.
  const script = { ...whole, calls: whole.calls.filter(({ name }) => name !== "create_file") };
  const said = (step: number, role: "assistant" | "tool", text: string, call: string | null) => ({
    id: `m${step}${role}`,
    thread_id: threadId,
    run_id: runId,
    step,
    role,
    status: "complete" as const,
    text,
    calls: role === "assistant" && call !== null ? [call] : [],
    tool_call_id: role === "tool" ? call : null,
  });
  const messages: History["messages"] = [
    { ...said(0, "assistant", script.prompt, null), id: "prompt", run_id: null, step: null, role: "user" as const },
    said(0, "assistant", "", "c0"),
    said(0, "tool", "2", "c0"),
    said(1, "assistant", "", "c1"),
    said(1, "tool", "[no output]", "c1"),
    said(2, "assistant", script.answer, null),
  ].map((message, seq) => ({ ...message, seq }));
  const told = messages.slice(1);
  const event = (type: string, attempt: number, more: object = {}): string =>
    JSON.stringify({ type, attempt, ...more });
  const messageEvent = (index: number, attempt: number): string =>
    event("message.completed", attempt, { message: { id: told[index]?.id } });
  const entries = [
    event("run.queued", 0),
    event("run.started", 1),
    messageEvent(0, 1),
    messageEvent(1, 1),
    event("attempt.started", 2),
    messageEvent(2, 2),
    messageEvent(3, 2),
    messageEvent(4, 2),
    event("run.completed", 2, { usage }),
  ];
  const follower = {
    runId,
    entries: entries.map((text, seq) => ({
      cursor: `1.${seq}`,
      event: JSON.stringify({ ...(JSON.parse(text) as object), seq }),
    })),
    breaks: 1,
    failure: null,
    messages: told.map(({ id, role, status, text }) => ({ id, role, status, text })),
    status: "completed",
  };
  const step = (number: number, attempt: number) => ({
    run_id: runId,
    step: number,
    attempt,
    cost_usd: "0.1",
    started_at: 1_000 + number,
  });
  const call = (number: number, attempt: number) => ({
    run_id: runId,
    call_id: `c${number}`,
    step: number,
    name: script.calls[number]?.name ?? "",
    arguments: JSON.stringify(script.calls[number]?.arguments),
    effect: number === 0 ? ("pure" as const) : ("once" as const),
    state: "done" as const,
    attempt,
    started_at: 1_000 + number,
    asked: number === 1,
    decision: number === 1 ? ("approve" as const) : null,
  });
  const entry = (kind: string, amount_usd: string, key: string) => ({
    account_id: account,
    run_id: runId,
    kind,
    amount_usd,
    key,
  });
  return {
    scenario: "good",
    seed: 1,
    scripts: { [runId]: script },
    acks: [{ runId, threadId, at: 0, ms: 5 }],
    unanswered: [],
    stops: [],
    decisions: [{ runId, callId: "c1", decision: "approve", at: 1 }],
    injections: [],
    stopWithinMs: 1_000,
    runs: [
      {
        id: runId,
        thread_id: threadId,
        account_id: account,
        status: "completed",
        attempt: 3,
        terminal_writes: 1,
        log_epoch: 1,
        stop_requested_at: null,
        completed_at: 2_000,
        has_receipt: false,
        error_code: null,
        cost_usd: "0.3",
      },
    ],
    messages,
    steps: [step(0, 1), step(1, 2), step(2, 2)],
    toolCalls: [call(0, 1), call(1, 2)],
    ledger: [
      { ...entry("grant", "10", "grant"), run_id: null },
      entry("reserve", "-0.05", "reserve"),
      entry("usage", "-0.1", "step:0"),
      entry("usage", "-0.1", "step:1"),
      entry("usage", "-0.1", "step:2"),
      entry("release", "0.05", "release"),
    ],
    balances: [{ account_id: account, balance_usd: "9.7" }],
    effects: { [script.calls[1]?.trace ?? ""]: 1 },
    logs: [{ run_id: runId, epoch: 1, closed: true, entries }],
    followers: [
      { ...structuredClone(follower), who: "f0" },
      { ...structuredClone(follower), who: "last" },
    ],
  };
};
