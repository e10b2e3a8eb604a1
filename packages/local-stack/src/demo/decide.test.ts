import { ApiError, type Client } from "@cortex/client";
import { expect, test } from "vitest";
import { decideAtTerminal, openQuestion } from "./decide.ts";

const approvals = ["yes", "no", "odd"].map((id) => ({
  tool_call_id: `${id}/1`,
  name: id,
  arguments: {},
  digest: `d-${id}`,
}));

const view = (notes: string[] = []) => ({ show: () => undefined, note: (text: string) => void notes.push(text) });
const never = () => new AbortController().signal;

const play = async (
  answers: Record<string, string> | null,
  refuse: (callId: string) => ApiError | null = () => null,
) => {
  const sent: unknown[] = [];
  const notes: string[] = [];
  const client = {
    decideApproval: async (...said: unknown[]) => {
      sent.push(said.slice(0, 3));
      const refusal = refuse(String(said[1]));
      if (refusal) throw refusal;
    },
  } as unknown as Pick<Client, "decideApproval">;
  const ask =
    answers && (async (question: string) => answers[question.trim().split(" ")[1]?.replace("?", "") ?? ""] ?? "");
  const given = { runId: "r", approvals, ask, view: view(notes), withdrawn: never(), signal: never() };
  await decideAtTerminal(client, given);
  return { sent, notes };
};

const refusal = (code: string, detail: string) =>
  new ApiError({
    ...{ status: 409, code, detail, retryable: false, retryAfterMs: null },
    ...{ requestId: null, errors: [], agentRunId: null },
  });

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

test("what somebody else has decided is said, and the rest is asked; another refusal is an error", async () => {
  const decided = (callId: string) => (callId === "yes/1" ? refusal("conflict", "the call is decided already") : null);
  const { sent, notes } = await play({ yes: "y", no: "n", odd: "n" }, decided);
  expect(sent).toHaveLength(3);
  expect(notes).toEqual(["yes: the call is decided already"]);
  await expect(play({ yes: "y" }, () => refusal("forbidden", "no"))).rejects.toMatchObject({ code: "forbidden" });
});

test("a question is withdrawn when the run goes on without its answer, and is no error then", async () => {
  const failures: unknown[] = [];
  const asked: string[] = [];
  const silent = (question: string, signal: AbortSignal) =>
    new Promise<string>((_, reject) => {
      asked.push(question);
      signal.addEventListener("abort", () => reject(new Error("aborted")));
    });
  const nobody = {} as Pick<Client, "decideApproval">;
  const decide = (ask: typeof silent) => (withdrawn: AbortSignal) =>
    decideAtTerminal(nobody, { runId: "r", approvals, ask, view: view(), withdrawn, signal: never() });
  const failed = (error: unknown) => void failures.push(error);
  await openQuestion(decide(silent), failed).withdraw();
  expect([asked, failures]).toEqual([["  run yes? [y/N] "], []]);

  const broken = new Error("the terminal is gone");
  await new Promise<void>((resolve) => {
    openQuestion(
      decide(() => Promise.reject(broken)),
      (error) => {
        failed(error);
        resolve();
      },
    );
  });
  expect(failures).toEqual([broken]);
});
