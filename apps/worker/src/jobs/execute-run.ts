import { type AgentOutcome, runAgent } from "@cortex/agentpress";
import { ConnectionError, type LogWriter } from "@cortex/events";
import {
  type ClaimedRun,
  claimRun,
  createRecorder,
  FencedError,
  handOver,
  type Lease,
  LeaseEnded,
  leaseEnd,
  openLog,
  readRunInput,
  type Recorder,
} from "@cortex/runs";
import type { WorkerServices } from "../services.ts";
import { agentDeps, agentInput } from "./agent-input.ts";

/** What becomes of the job: it is done with, waits until a time, or goes back for another worker. */
export type JobVerdict = { kind: "done" } | { kind: "delay"; untilMs: number } | { kind: "handBack" };
