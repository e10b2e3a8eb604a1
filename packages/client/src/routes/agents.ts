import {
  Agent,
  AgentVersion,
  type CreateAgent,
  type CreateAgentVersion,
  page,
  type UpdateAgent,
  VersionComparison,
} from "@cortex/contracts";
import { call, type Caller, type CallOptions, type CreateOptions } from "../http/call.ts";
import { path } from "../http/connection.ts";
import type { InputOf, PageQuery } from "./input.ts";

const Agents = page(Agent);
const Versions = page(AgentVersion);

/** The routes of agents and their versions. Errors of each: those of `call`. */
export const agentRoutes = (caller: Caller) => ({
  /** Newest first. */
  listAgents: (query?: PageQuery, options?: CallOptions) =>
    call(caller, { method: "GET", path: "/agents", query: { ...query }, answer: Agents, kind: "read", options }),
  /** With its first version, which is active. */
  createAgent: (input: InputOf<typeof CreateAgent>, options?: CreateOptions) =>
    call(caller, { method: "POST", path: "/agents", body: input, answer: Agent, kind: "creates", options }),
  getAgent: (agentId: string, options?: CallOptions) =>
    call(caller, { method: "GET", path: path`/agents/${agentId}`, answer: Agent, kind: "read", options }),
  /** Also makes it the default agent, or another of its versions the active one. */
  updateAgent: (agentId: string, changes: InputOf<typeof UpdateAgent>, options?: CallOptions) =>
    call(caller, {
      method: "PATCH",
      path: path`/agents/${agentId}`,
      body: changes,
      answer: Agent,
      kind: "changes",
      options,
    }),
  /** Its runs go on and stay. `conflict` for the default agent. */
  deleteAgent: (agentId: string, options?: CallOptions) =>
    call<void>(caller, { method: "DELETE", path: path`/agents/${agentId}`, answer: null, kind: "changes", options }),
  /** Newest first. */
  listAgentVersions: (agentId: string, query?: PageQuery, options?: CallOptions) =>
    call(caller, {
      method: "GET",
      path: path`/agents/${agentId}/versions`,
      query: { ...query },
      answer: Versions,
      kind: "read",
      options,
    }),
  /** Given as a whole, and active from now on; runs that have started keep theirs. */
  createAgentVersion: (agentId: string, input: InputOf<typeof CreateAgentVersion>, options?: CreateOptions) =>
    call(caller, {
      method: "POST",
      path: path`/agents/${agentId}/versions`,
      body: input,
      answer: AgentVersion,
      kind: "creates",
      options,
    }),
  getAgentVersion: (agentId: string, version: number, options?: CallOptions) =>
    call(caller, {
      method: "GET",
      path: path`/agents/${agentId}/versions/${String(version)}`,
      answer: AgentVersion,
      kind: "read",
      options,
    }),
  /** Without numbers: the active version with the one before it. */
  compareAgentVersions: (
    agentId: string,
    query?: { from?: number | undefined; to?: number | undefined },
    options?: CallOptions,
  ) =>
    call(caller, {
      method: "GET",
      path: path`/agents/${agentId}/versions/compare`,
      query: { ...query },
      answer: VersionComparison,
      kind: "read",
      options,
    }),
});
