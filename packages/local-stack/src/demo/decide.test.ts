import type { Client } from "@cortex/client";
import { expect, test } from "vitest";
import { decideAtTerminal } from "./decide.ts";

const approvals = ["yes", "no", "odd"].map((id) => ({
  tool_call_id: `${id}/1`,
  name: id,
  arguments: {},
  digest: `d-${id}`,
}));

const play = async (answers: Record<string, string> | null) => {
  const sent: unknown[] = [];
  const notes: string[] = [];
  const client = {
    decideApproval: async (...said: unknown[]) => void sent.push(said.slice(0, 3)),
  } as unknown as Pick<Client, "decideApproval">;
  const ask =
    answers && (async (question: string) => answers[question.trim().split(" ")[1]?.replace("?", "") ?? ""] ?? "");
  const view = { show: () => undefined, note: (text: string) => void notes.push(text) };
  await decideAtTerminal(client, { runId: "r", approvals, ask, view, signal: new AbortController().signal });
  return { sent, notes };
};

test("a clear yes approves what was shown, everything else rejects it", async () => {
  const { sent } = await play({ yes: " Y ", no: "n", odd: "yesterday" });
  expect(sent).toEqual([
    ["r", "yes/1", { decision: "approve", digest: "d-yes" }],
    ["r", "no/1", { decision: "reject", digest: "d-no" }],
    ["r", "odd/1", { decision: "reject", digest: "d-odd" }],
  ]);
});

test("where nobody sits it decides nothing, and says how to", async () => {
  const { sent, notes } = await play(null);
  expect(sent).toEqual([]);
  expect(notes).toHaveLength(3);
  expect(notes[0]).toContain('POST /api/agent-run/r/approvals/yes%2F1 {"decision":"approve","digest":"d-yes"}');
});
