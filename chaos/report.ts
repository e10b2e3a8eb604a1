import { workedAttempts } from "./check/group.ts";
import type { History } from "./check/history.ts";
import { injected, type Outcome } from "./run-scenario.ts";

const count = <Item>(items: readonly Item[], is: (item: Item) => boolean): number => items.filter(is).length;

/** What a history shows, in numbers. */
export const figures = (history: History) => ({
  runs: history.runs.length,
  completed: count(history.runs, ({ status }) => status === "completed"),
  failed: count(history.runs, ({ status }) => status === "failed"),
  stopped: count(history.runs, ({ status }) => status === "stopped"),
  messages: count(history.messages, ({ run_id, role }) => run_id !== null && role !== "user"),
  /** Attempts that began and did not bring the run to its end. */
  orphaned: history.runs.reduce((sum, run) => sum + Math.max(0, workedAttempts(run) - 1), 0),
  unknownCalls: count(history.toolCalls, ({ state }) => state === "unknown"),
  failedCalls: count(history.toolCalls, ({ state }) => state === "failed"),
  effects: Object.values(history.effects).reduce((sum, times) => sum + times, 0),
  followers: history.followers.length,
  events: history.followers.reduce((sum, { entries }) => sum + entries.length, 0),
  breaks: history.followers.reduce((sum, { breaks }) => sum + breaks, 0),
  resyncs: Math.max(0, ...history.runs.map(({ log_epoch }) => log_epoch - 1)),
  slowestStartMs: Math.round(Math.max(0, ...history.acks.map(({ ms }) => ms))),
});

/** A few lines for a person: what was done to the fleet, and what came of it. */
export const summary = ({ history, violations, wallMs }: Outcome): string => {
  const harm = Object.entries(injected(history)).map(([kind, times]) => `${times} × ${kind}`);
  const numbers = Object.entries(figures(history)).map(([name, value]) => `${name} ${value}`);
  return [
    `${history.scenario}, seed ${history.seed}: ${(wallMs / 1_000).toFixed(1)} s`,
    `  injected: ${harm.join(", ") || "nothing"}`,
    `  ${numbers.join(", ")}`,
    `  violations: ${violations.length}`,
    ...violations.slice(0, 20).map(({ invariant, runId, what }) => `    ${invariant} ${runId ?? ""} ${what}`),
  ].join("\n");
};
