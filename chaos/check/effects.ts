import { byRun } from "./group.ts";
import type { History, ToolCallRecord, Violation } from "./history.ts";

/**
 * I8: an effect of a `once` tool happens at most once, one that is said to be done has happened, and uncertainty is said aloud. The third oracle:
 * each command of a script appends a line to a file of its own.
 */
export const checkEffects = (history: History): Violation[] => {
  const found: Violation[] = [];
  const calls = byRun(history.toolCalls);
  const messages = byRun(history.messages);
  for (const [runId, script] of Object.entries(history.scripts)) {
    const add = (what: string): void => void found.push({ invariant: "I8", runId, what });
    for (const { trace, name, arguments: args } of script.calls) {
      if (trace === null) continue;
      const times = history.effects[trace] ?? 0;
      const claims = (calls.get(runId) ?? []).filter((call) => call.name === name && isCall(call, args));
      if (times > 1) add(`${trace} happened ${times} times`);
      if (times > 0 && claims.length === 0) add(`${trace} happened, and nobody had claimed it`);
      if (times === 0 && claims.some(({ state }) => state === "done"))
        add(`${trace} is said to be done and never happened`);
      if (claims.length > 1) add(`${trace} was claimed ${claims.length} times`);
    }
    for (const call of calls.get(runId) ?? []) {
      if (call.state === "started" && call.effect === "once") add(`call ${call.call_id} is left open`);
      if (call.state !== "unknown") continue;
      const told = (messages.get(runId) ?? []).find(({ tool_call_id }) => tool_call_id === call.call_id);
      // A run that ended with it tells it in its log only; there is no model any more to read a message.
      if (told && !/not known|unknown|uncertain/i.test(told.text))
        add(`call ${call.call_id} is unknown, and the model was told ${JSON.stringify(told.text)}`);
    }
  }
  return found;
};

const isCall = (call: ToolCallRecord, args: Record<string, string>): boolean => {
  const given = JSON.parse(call.arguments) as Record<string, unknown>;
  return Object.entries(args).every(([name, value]) => given[name] === value);
};
