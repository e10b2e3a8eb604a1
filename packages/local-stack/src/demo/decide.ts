import { createInterface } from "node:readline/promises";
import type { Client } from "@cortex/client";
import type { OpenApproval } from "@cortex/contracts";
import type { RunView } from "../terminal/run-view.ts";

/** Asks somebody a question; their answer. Rejects when the signal aborts. */
export type AskSomebody = (question: string, signal: AbortSignal) => Promise<string>;

/** At a terminal, there is somebody to be asked. Null where nobody sits. */
export const somebodyAt = (terminal: { input: NodeJS.ReadStream; output: NodeJS.WriteStream }): AskSomebody | null =>
  terminal.input.isTTY && terminal.output.isTTY
    ? async (question, signal) => {
        const lines = createInterface(terminal);
        try {
          return await lines.question(question, { signal });
        } finally {
          lines.close();
        }
      }
    : null;

/** Anything but a clear yes is a no: what was not understood must not run. */
const isYes = (answer: string): boolean => /^\s*y(es)?\s*$/i.test(answer);

/**
 * Decides about the calls of a waiting run, one after the other, as whoever sits at the terminal says. The view has shown them, arguments and
 * all. Where nobody sits it says how to decide, and the run waits on.
 */
export const decideAtTerminal = async (
  client: Pick<Client, "decideApproval">,
  input: {
    runId: string;
    approvals: readonly OpenApproval[];
    ask: AskSomebody | null;
    view: RunView;
    signal: AbortSignal;
  },
): Promise<void> => {
  const { runId, approvals, ask, view, signal } = input;
  for (const { tool_call_id: callId, name, digest } of approvals) {
    if (ask === null) {
      const body = JSON.stringify({ decision: "approve", digest });
      view.note(
        `to decide: POST /api/agent-run/${runId}/approvals/${encodeURIComponent(callId)} ${body} (or "reject")`,
      );
      continue;
    }
    const yes = isYes(await ask(`  run ${name}? [y/N] `, signal));
    await client.decideApproval(runId, callId, { decision: yes ? "approve" : "reject", digest }, { signal });
  }
};
