import { createInterface } from "node:readline/promises";
import { type Client, isApiError } from "@cortex/client";
import type { OpenApproval } from "@cortex/contracts";
import type { RunView } from "../terminal/run-view.ts";
import { harmless } from "../terminal/style.ts";

/** Asks somebody a question; their answer. Rejects when the signal aborts. */
export type AskSomebody = (question: string, signal: AbortSignal) => Promise<string>;

/** At a terminal, there is somebody to be asked. Null where nobody sits. */
export const somebodyAt = (terminal: { input: NodeJS.ReadStream; output: NodeJS.WriteStream }): AskSomebody | null =>
  terminal.input.isTTY && terminal.output.isTTY
    ? async (question, signal) => {
        const lines = createInterface(terminal);
        try {
          return await lines.question(question, { signal });
        } catch (error) {
          // Nobody has ended the line.
          terminal.output.write("\n");
          throw error;
        } finally {
          lines.close();
        }
      }
    : null;

/** Anything but a clear yes is a no: what was not understood must not run. */
const isYes = (answer: string): boolean => /^\s*y(es)?\s*$/i.test(answer);

/**
 * Decides about the calls of a waiting run, one after the other, as whoever sits at the terminal says. The view has shown them, arguments and
 * all. Where nobody sits it says how to decide, and the run waits on. Somebody else may decide at the same time: what is decided stays so, and this
 * goes on, or ends when it is withdrawn.
 */
export const decideAtTerminal = async (
  client: Pick<Client, "decideApproval">,
  input: {
    runId: string;
    approvals: readonly OpenApproval[];
    ask: AskSomebody | null;
    view: RunView;
    /** Nothing is to be decided any more. */
    withdrawn: AbortSignal;
    signal: AbortSignal;
  },
): Promise<void> => {
  const { runId, approvals, ask, view, withdrawn, signal } = input;
  for (const { tool_call_id: callId, name, digest } of approvals) {
    if (ask === null) {
      const body = JSON.stringify({ decision: "approve", digest });
      view.note(
        `to decide: POST /api/agent-run/${runId}/approvals/${encodeURIComponent(callId)} ${body} (or "reject")`,
      );
      continue;
    }
    const answer = await ask(`  run ${harmless(name)}? [y/N] `, AbortSignal.any([signal, withdrawn])).catch(
      (error: unknown) => {
        if (withdrawn.aborted) return null;
        throw error;
      },
    );
    if (answer === null) return;
    const yes = isYes(answer);
    try {
      await client.decideApproval(runId, callId, { decision: yes ? "approve" : "reject", digest }, { signal });
    } catch (error) {
      if (!isApiError(error, "conflict")) throw error;
      view.note(`${name}: ${error.detail}`);
    }
  }
};

/** A question that is open while the events of its run go on. */
export interface OpenQuestion {
  /** Resolves when nobody is asked any more. */
  withdraw(): Promise<void>;
}

/** @param failed told why nobody can decide, unless the question was withdrawn before */
export const openQuestion = (
  decide: (withdrawn: AbortSignal) => Promise<void>,
  failed: (error: unknown) => void,
): OpenQuestion => {
  const over = new AbortController();
  const done = decide(over.signal).catch((error: unknown) => {
    if (!over.signal.aborted) failed(error);
  });
  return {
    withdraw: () => {
      over.abort();
      return done;
    },
  };
};
