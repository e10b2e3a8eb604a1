import {
  ApprovalAnswer,
  type DecideApproval,
  InitiatedRun,
  type InitiateRun,
  page,
  Run,
  type RunStatus,
  StartedRun,
  type StartRun,
  Step,
  StopAccepted,
  StreamTicket,
} from "@cortex/contracts";
import { call, type Caller, type CallOptions, type CreateOptions } from "../http/call.ts";
import { path } from "../http/connection.ts";
import type { InputOf, PageQuery } from "./input.ts";

const Runs = page(Run);
const Steps = page(Step);

export interface ListRunsQuery extends PageQuery {
  status?: RunStatus | undefined;
  thread_id?: string | undefined;
}

/** Attachments of a first message. A `Blob` needs its name beside it. */
export type Attachment = File | { name: string; content: Blob };

export type InitiateRunInput = InputOf<typeof InitiateRun> & { files?: readonly Attachment[] | undefined };

/** The routes of runs but for the stream. Errors of each: those of `call`. */
export const runRoutes = (caller: Caller) => ({
  /**
   * Starts a run on a thread; a `prompt` is appended to it first. Codes: `thread_busy` (with `agentRunId`), `thread_empty`,
   * `thread_answered`, `insufficient_credits`, `model_not_in_plan`, `too_many_runs`.
   */
  startRun: (threadId: string, input: InputOf<typeof StartRun> = {}, options?: CreateOptions) =>
    call(caller, {
      method: "POST",
      path: path`/thread/${threadId}/agent/start`,
      body: input,
      answer: StartedRun,
      kind: "creates",
      options,
    }),
  /** Project, thread, attachments and run in one go. */
  initiateRun: (input: InitiateRunInput, options?: CreateOptions) =>
    call(caller, {
      method: "POST",
      path: "/agent/initiate",
      body: formOf(input),
      answer: InitiatedRun,
      kind: "creates",
      options,
    }),
  getRun: (runId: string, options?: CallOptions) =>
    call(caller, { method: "GET", path: path`/agent-run/${runId}`, answer: Run, kind: "read", options }),
  /** Newest first; of all accounts of the caller unless the client acts for one. */
  listRuns: (query?: ListRunsQuery, options?: CallOptions) =>
    call(caller, { method: "GET", path: "/agent-runs", query: { ...query }, answer: Runs, kind: "read", options }),
  /** The durable timeline, all of it: there is never a next page. */
  runSteps: (runId: string, options?: CallOptions) =>
    call(caller, { method: "GET", path: path`/agent-run/${runId}/steps`, answer: Steps, kind: "read", options }),
  /** Asks for the end of a run. Durable when this returns; what it did is in `run.stopped`. A finished run stays what it is. */
  stopRun: (runId: string, options?: CallOptions) =>
    call(caller, {
      method: "POST",
      path: path`/agent-run/${runId}/stop`,
      answer: StopAccepted,
      kind: "idempotent",
      options,
    }),
  /**
   * Decides about a tool call that waits for a person: those in `approvals` of the run, and of its `run.waiting`. `digest` is the one that stands
   * there. May be repeated. Codes: `approval_mismatch`, `conflict` (decided otherwise, or too late), `forbidden` (a viewer).
   */
  decideApproval: (
    runId: string,
    toolCallId: string,
    decision: InputOf<typeof DecideApproval>,
    options?: CallOptions,
  ) =>
    call(caller, {
      method: "POST",
      path: path`/agent-run/${runId}/approvals/${toolCallId}`,
      body: decision,
      answer: ApprovalAnswer,
      kind: "idempotent",
      options,
    }),
  /**
   * For the browser's own `EventSource`, which cannot send headers: `/api/agent-run/{id}/stream?ticket=…`, for ten minutes and any number of
   * connections. `followRun` needs none.
   */
  createStreamTicket: (runId: string, options?: CallOptions) =>
    call(caller, {
      method: "POST",
      path: path`/agent-run/${runId}/stream-ticket`,
      answer: StreamTicket,
      kind: "idempotent",
      options,
    }),
  /** `run_active` while it has not ended. */
  deleteRun: (runId: string, options?: CallOptions) =>
    call<void>(caller, { method: "DELETE", path: path`/agent-run/${runId}`, answer: null, kind: "changes", options }),
});

const formOf = (input: InitiateRunInput): FormData => {
  const form = new FormData();
  form.set("prompt", input.prompt);
  if (input.model !== undefined) form.set("model", input.model);
  if (input.agent_id !== undefined) form.set("agent_id", input.agent_id);
  for (const file of input.files ?? []) {
    if (file instanceof File) form.append("files", file);
    else form.append("files", file.content, file.name);
  }
  return form;
};
