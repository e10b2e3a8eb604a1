import { expect, test } from "vitest";
import { check } from "./check.ts";
import { goodHistory } from "./good-history.ts";
import type { History, Invariant } from "./history.ts";

test("a history in which every promise was kept breaks none", () => {
  expect(check(goodHistory())).toEqual([]);
});

/** What to do to the good history, and the only invariant that is broken then. */
const breaches: [string, Invariant, (history: History) => void][] = [
  [
    "an acknowledged run that is in no table",
    "I1",
    (h) => h.acks.push({ runId: "lost", threadId: "other", at: 0, ms: 1 }),
  ],
  [
    "a start that made two runs",
    "I1",
    (h) => {
      for (const run of [...h.runs])
        h.runs.push({ ...run, id: "twin", status: "queued", attempt: 0, cost_usd: "0", completed_at: null });
      h.ledger.push({ account_id: "", run_id: "twin", kind: "reserve", amount_usd: "0", key: "twin" });
    },
  ],
  ["an end that was written twice", "I2", ({ runs: [run] }) => run && (run.terminal_writes = 2)],
  ["a step of a superseded attempt", "I3", ({ steps }) => steps[2] && (steps[2].attempt = 1)],
  [
    "a call settled by an attempt that was never claimed",
    "I3",
    ({ toolCalls }) => toolCalls[1] && (toolCalls[1].attempt = 7),
  ],
  [
    "an entry of a superseded attempt in the log",
    "I3",
    (h) => {
      const late = JSON.stringify({ type: "message.delta", attempt: 1 });
      h.logs[0]?.entries.splice(6, 0, late);
      for (const follower of h.followers) {
        follower.entries.splice(6, 0, { cursor: "", event: late });
        follower.entries = follower.entries.map((entry, seq) => ({ ...entry, cursor: `1.${seq}` }));
      }
    },
  ],
  ["a hole in the thread", "I4", ({ messages }) => messages.at(-1) && Object.assign(messages.at(-1) ?? {}, { seq: 9 })],
  [
    "a step that was answered twice",
    "I4",
    (h) => {
      const twin = { ...h.messages[5], id: "twin", seq: 6 } as History["messages"][number];
      h.messages.push(twin);
      sayEverywhere(h, twin);
    },
  ],
  [
    "another answer than the script's",
    "I4",
    (h) => {
      for (const message of [h.messages[5], ...h.followers.map(({ messages }) => messages.at(-1))])
        if (message) message.text = "w1";
    },
  ],
  ["a log without an end", "I5", (h) => dropEnd(h)],
  ["a log that is not closed", "I5", ({ logs: [log] }) => log && (log.closed = false)],
  [
    "a log that leaves out a message",
    "I5",
    (h) => {
      for (const entries of [h.logs[0]?.entries, ...h.followers.map((follower) => follower.entries)])
        entries?.splice(5, 1);
      for (const follower of h.followers)
        follower.entries = follower.entries.map((entry, seq) => ({ ...entry, cursor: `1.${seq}` }));
    },
  ],
  ["a follower with a gap", "I6", ({ followers: [follower] }) => follower?.entries.splice(3, 1)],
  [
    "a follower who heard something twice",
    "I6",
    ({ followers: [f] }) => f?.entries.splice(3, 0, ...f.entries.slice(3, 4)),
  ],
  [
    "a follower who was told something else",
    "I6",
    ({ followers: [f] }) => f?.entries[1] && (f.entries[1].event = '{"type":"run.started","attempt":9}'),
  ],
  ["a follower who gave up", "I6", ({ followers: [follower] }) => follower && (follower.failure = "ApiError")],
  [
    "a follower whose text is not what is stored",
    "I6",
    ({ followers: [f] }) => f?.messages[4] && (f.messages[4].text = "w1"),
  ],
  [
    "a later epoch that does not begin with its resync",
    "I6",
    ({ followers: [f] }) => {
      f?.entries.splice(0, 0, { cursor: "1.0", event: '{"type":"run.queued","attempt":0}' });
      for (const [seq, entry] of f?.entries.slice(1).entries() ?? []) entry.cursor = `2.${seq}`;
    },
  ],
  [
    "a stop that is not recorded",
    "I7",
    (h) => h.stops.push({ runId: h.acks[0]?.runId ?? "", status: "running", at: 1 }),
  ],
  ["a stop that took too long", "I7", ({ runs: [run] }) => run && (run.stop_requested_at = 500)],
  [
    "a call long after the stop",
    "I7",
    (h) => {
      if (h.runs[0]) h.runs[0].stop_requested_at = 1_500;
      if (h.toolCalls[1]) h.toolCalls[1].started_at = 9_000;
    },
  ],
  ["an effect that happened twice", "I8", (h) => (h.effects["r0.2"] = 2)],
  ["an effect that is said to be done and never happened", "I8", (h) => (h.effects = {})],
  [
    "an uncertain call of which the model was told nothing",
    "I8",
    ({ toolCalls }) => toolCalls[1] && (toolCalls[1].state = "unknown"),
  ],
  [
    "a call that acted although somebody rejected it",
    "I8",
    (h) => {
      if (h.toolCalls[1]) h.toolCalls[1].decision = "reject";
      if (h.decisions[0]) h.decisions[0].decision = "reject";
    },
  ],
  [
    "a decision that was acknowledged and lost",
    "I8",
    (h) => Object.assign(h.toolCalls[1] ?? {}, { asked: false, decision: null }),
  ],
  [
    "a question that a completed run has left open",
    "I8",
    (h) => {
      h.decisions = [];
      if (h.toolCalls[1]) Object.assign(h.toolCalls[1], { decision: null, state: "failed" });
    },
  ],
  ["a claim that nobody settled", "I8", ({ toolCalls }) => toolCalls[1] && (toolCalls[1].state = "started")],
  ["a step that was charged twice", "I9", (h) => h.ledger.push({ ...step(h), key: "again" }) && balance(h, "9.6")],
  ["a step that was not charged", "I9", (h) => h.ledger.splice(2, 1) && balance(h, "9.8")],
  ["a reservation that was kept", "I9", (h) => h.ledger.splice(5, 1) && balance(h, "9.65")],
  ["a balance that is not the sum", "I9", (h) => balance(h, "9.6")],
];

const step = (history: History) =>
  history.ledger[2] ?? { account_id: "", run_id: "", kind: "", amount_usd: "0", key: "" };

const balance = ({ balances: [first] }: History, usd: string): void => {
  if (first) first.balance_usd = usd;
};

/** Puts a message into the log and into every follower's record, ahead of the end. */
const sayEverywhere = (history: History, message: History["messages"][number]): void => {
  const text = JSON.stringify({ type: "message.completed", attempt: 2, message: { id: message.id } });
  history.logs[0]?.entries.splice(-1, 0, text);
  for (const follower of history.followers) {
    const { id, role, status, text: words } = message;
    follower.messages.push({ id, role, status, text: words });
    follower.entries.splice(-1, 0, { cursor: "", event: text });
    follower.entries = follower.entries.map((entry, seq) => ({ ...entry, cursor: `1.${seq}` }));
  }
};

/** Nobody has followed a log without an end to its end. */
const dropEnd = (history: History): void => {
  history.logs[0]?.entries.pop();
  history.followers = [];
};

test.each(breaches)("%s breaks %s and nothing else", (_, invariant, breach) => {
  const history = goodHistory();
  breach(history);
  expect([...new Set(check(history).map((violation) => violation.invariant))]).toEqual([invariant]);
});

test("every invariant is broken by some history", () => {
  const broken = new Set(breaches.map(([, invariant]) => invariant));
  expect([...broken].toSorted()).toEqual(["I1", "I2", "I3", "I4", "I5", "I6", "I7", "I8", "I9"]);
});
