import { byRun } from "./group.ts";
import type { History, MessageRecord, RunRecord, Violation } from "./history.ts";
import type { RunScript } from "../load/run-script.ts";

/**
 * I4: every message exactly once and contiguous. Threads are dense; each step of a run has one answer, each of its calls one result; a run that
 * completed has said exactly what its script says.
 */
export const checkMessages = (history: History): Violation[] => {
  const found: Violation[] = [];
  for (const [threadId, messages] of Map.groupBy(history.messages, ({ thread_id }) => thread_id)) {
    const seqs = messages.map(({ seq }) => seq).toSorted((left, right) => left - right);
    if (seqs.some((seq, index) => seq !== index)) {
      const runId = history.runs.find((run) => run.thread_id === threadId)?.id ?? null;
      found.push({ invariant: "I4", runId, what: `the messages of its thread are ${seqs.join(" ")}` });
    }
  }
  const ofRuns = byRun(history.messages);
  const calls = byRun(history.toolCalls);
  for (const run of history.runs) {
    const messages = (ofRuns.get(run.id) ?? []).toSorted((left, right) => left.seq - right.seq);
    const say = (what: string): void => void found.push({ invariant: "I4", runId: run.id, what });
    doubled(messages).forEach(say);
    for (const { call_id } of calls.get(run.id) ?? []) {
      if (!messages.some((message) => message.calls.includes(call_id)))
        say(`call ${call_id} acted, and no message asked for it`);
    }
    const script = history.scripts[run.id];
    if (script) unscripted(run, script, messages).forEach(say);
  }
  return found;
};

const doubled = (messages: readonly MessageRecord[]): string[] => {
  const found: string[] = [];
  const answers = messages.filter(({ role }) => role === "assistant");
  for (const [step, said] of Map.groupBy(answers, ({ step }) => step)) {
    if (said.length > 1) found.push(`step ${step} has ${said.length} answers`);
  }
  const results = messages.filter(({ role }) => role === "tool");
  for (const [call, said] of Map.groupBy(results, ({ tool_call_id }) => tool_call_id)) {
    if (said.length > 1) found.push(`call ${call} has ${said.length} results`);
  }
  return found;
};

/** How a run's messages differ from its script; one that did not complete must have said the beginning of it. */
const unscripted = (run: RunRecord, script: RunScript, messages: readonly MessageRecord[]): string[] => {
  const expected = [...script.calls.flatMap(() => ["assistant", "tool"]), "assistant"];
  const roles = messages.map(({ role }) => role);
  const found: string[] = [];
  if (roles.some((role, index) => role !== expected[index])) found.push(`its messages are ${roles.join(" ")}`);
  if (run.status !== "completed") return found;
  if (roles.length !== expected.length) found.push(`has ${roles.length} messages and must have ${expected.length}`);
  const last = messages.at(-1);
  if (last?.text !== script.answer) found.push(`its answer is ${JSON.stringify(last?.text)}`);
  const interrupted = messages.filter(({ status }) => status === "interrupted").length;
  if (interrupted > 0) found.push(`completed with ${interrupted} interrupted messages`);
  return found;
};
