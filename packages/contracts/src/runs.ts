import { z } from "zod";
import { DecidedApproval, OpenApproval } from "./approvals.ts";
import { RunErrorCode } from "./errors.ts";
import { AccountId, AgentId, AgentVersionId, ProjectId, RunId, ThreadId } from "./ids.ts";
import { maxMessageText } from "./threads.ts";
import { Json, ListQuery, Metadata, Timestamp, Usage, Usd } from "./values.ts";

/** `queued → running → completed | failed | stopped`; `waiting` parks a run without holding a worker. */
export const RunStatus = z.enum(["queued", "running", "waiting", "completed", "failed", "stopped"]);
export type RunStatus = z.infer<typeof RunStatus>;

export const TerminalRunStatus = z.enum(["completed", "failed", "stopped"]);
export type TerminalRunStatus = z.infer<typeof TerminalRunStatus>;

export const isTerminal = (status: RunStatus): status is TerminalRunStatus =>
  status === "completed" || status === "failed" || status === "stopped";

export const RunError = z
  .object({ code: RunErrorCode, message: z.string(), retryable: z.boolean() })
  .meta({ id: "RunError" });
export type RunError = z.infer<typeof RunError>;

/**
 * Why nobody works on a run. `provider_limit`: its status is `waiting`, the model's provider lets nobody through until `resume_at`.
 * `approval`: its status is `waiting`, a person has to decide about the calls in `approvals`.
 * `takeover`: it is running, its worker was lost or has handed it over, and another takes it up soon.
 */
export const QueueReason = z.enum([
  "admitted",
  "workers_busy",
  "account_limit",
  "no_workers",
  "provider_limit",
  "approval",
  "takeover",
]);
export type QueueReason = z.infer<typeof QueueReason>;

/** A command that was ended in the sandbox because its run was stopped. */
export const KilledCommand = z
  .object({
    tool_call_id: z.string(),
    /** The tool's name. */
    name: z.string(),
    /** The command line, shortened. */
    command: z.string(),
    /** How many processes, its shell included; null where they are not counted. */
    processes: z.int().nonnegative().nullable(),
    /** The whole sandbox was stopped with it, and whatever else ran there. Its files are kept. */
    sandbox_stopped: z.boolean(),
  })
  .meta({ id: "KilledCommand" });
export type KilledCommand = z.infer<typeof KilledCommand>;

/** What a stop did: written by whoever ended the run. */
export const StopReceipt = z
  .object({
    requested_at: Timestamp,
    stopped_at: Timestamp,
    /**
     * What was under way: nothing, `model call`, or `tool call <name>`, with `, left behind` if it did not react and may still be going on;
     * `lost worker` if nobody was left to say; `approval of <name>` for a call about which nobody had decided.
     */
    aborted: z.array(z.string()),
    killed: z.array(KilledCommand),
    charged_usd: Usd,
  })
  .meta({ id: "StopReceipt" });
export type StopReceipt = z.infer<typeof StopReceipt>;

export const Run = z
  .object({
    id: RunId,
    thread_id: ThreadId,
    project_id: ProjectId,
    account_id: AccountId,
    agent_id: AgentId,
    agent_version_id: AgentVersionId,
    status: RunStatus,
    attempt: z.int().nonnegative(),
    model: z.string(),
    usage: Usage,
    cost_usd: Usd,
    budget: z.object({ max_cost_usd: Usd }).nullable(),
    error: RunError.nullable(),
    stop: z.object({ requested_at: Timestamp, receipt: StopReceipt.nullable() }).nullable(),
    queue: z
      .object({
        position: z.int().nonnegative(),
        reason: QueueReason,
        resume_at: Timestamp.optional(),
        expires_at: Timestamp.optional(),
      })
      .nullable(),
    /** Calls about which a person has to decide before it goes on, in the order in which the model asked. Empty unless it waits for that. */
    approvals: z.array(OpenApproval),
    metadata: Metadata,
    request_id: z.string(),
    created_at: Timestamp,
    started_at: Timestamp.nullable(),
    completed_at: Timestamp.nullable(),
  })
  .meta({ id: "Run" });
export type Run = z.infer<typeof Run>;

/** `prompt` appends a user message in the same transaction. `tools` narrows the agent's tools, it never widens them. */
export const StartRun = z
  .strictObject({
    agent_id: AgentId.optional(),
    model: z.string().min(1).max(200).optional(),
    prompt: z.string().min(1).max(maxMessageText).optional(),
    budget: z
      .strictObject({ max_cost_usd: Usd.refine((amount) => !amount.startsWith("-"), "must not be negative") })
      .optional(),
    tools: z.array(z.string().max(128)).max(100).optional(),
    metadata: Metadata.default({}),
  })
  .meta({ id: "StartRun" });
export type StartRun = z.infer<typeof StartRun>;

export const StartedRun = z
  .object({ agent_run_id: RunId, thread_id: ThreadId, status: z.literal("queued") })
  .meta({ id: "StartedRun" });
export type StartedRun = z.infer<typeof StartedRun>;

/** The form fields of `POST /agent/initiate`; files are parts named `files`. */
export const InitiateRun = z
  .strictObject({
    prompt: z.string().min(1).max(maxMessageText),
    model: z.string().min(1).max(200).optional(),
    agent_id: AgentId.optional(),
  })
  .meta({ id: "InitiateRun" });
export type InitiateRun = z.infer<typeof InitiateRun>;

export const InitiatedRun = z
  .object({ project_id: ProjectId, thread_id: ThreadId, agent_run_id: RunId })
  .meta({ id: "InitiatedRun" });
export type InitiatedRun = z.infer<typeof InitiatedRun>;

/** The answer to a stop: what was recorded, not what has happened yet. `stop_requested_at` is null on a run that ended by itself. */
export const StopAccepted = z
  .object({ status: RunStatus, stop_requested_at: Timestamp.nullable() })
  .meta({ id: "StopAccepted" });
export type StopAccepted = z.infer<typeof StopAccepted>;

/** The answer to a decision. While `open_approvals` is above 0, the run waits on; at 0 it goes on by itself. */
export const ApprovalAnswer = DecidedApproval.extend({
  status: RunStatus,
  open_approvals: z.int().nonnegative(),
}).meta({ id: "ApprovalAnswer" });
export type ApprovalAnswer = z.infer<typeof ApprovalAnswer>;

/** Lets a browser's `EventSource` follow one run: it goes into the address of the stream, as `?ticket=`. Good for nothing else. */
export const StreamTicket = z.object({ ticket: z.string(), expires_at: Timestamp }).meta({ id: "StreamTicket" });
export type StreamTicket = z.infer<typeof StreamTicket>;

export const ListRunsQuery = ListQuery.extend({ status: RunStatus.optional(), thread_id: ThreadId.optional() });
export type ListRunsQuery = z.infer<typeof ListRunsQuery>;

export const StepType = z.enum(["user-request", "agent-thought", "tool-call", "tool-result", "agent-response"]);

/** One entry of the durable timeline of a run. */
export const Step = z
  .object({
    run_id: RunId,
    order: z.int().nonnegative(),
    type: StepType,
    content: Json,
    tool_name: z.string().optional(),
    attempt: z.int().nonnegative(),
    usage: Usage.optional(),
    cost_usd: Usd.optional(),
    started_at: Timestamp,
    ended_at: Timestamp.nullable(),
  })
  .meta({ id: "Step" });
export type Step = z.infer<typeof Step>;
