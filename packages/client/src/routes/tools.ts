import { page, ToolInfo, type UpdateToolSettings } from "@cortex/contracts";
import { call, type Caller, type CallOptions } from "../http/call.ts";
import { path } from "../http/connection.ts";
import type { InputOf } from "./input.ts";

const Tools = page(ToolInfo);

/** Where a tool is looked at or set: for an agent, or (without one) for the whole account. */
export interface ToolsQuery {
  agent_id?: string | null | undefined;
}

/** The routes of tools. Errors of each: those of `call`. */
export const toolRoutes = (caller: Caller) => ({
  /** The tools that there are, all of them, as they are in effect. */
  listTools: (query?: ToolsQuery, options?: CallOptions) =>
    call(caller, { method: "GET", path: "/tools", query: { ...query }, answer: Tools, kind: "read", options }),
  getTool: (name: string, query?: ToolsQuery, options?: CallOptions) =>
    call(caller, {
      method: "GET",
      path: path`/tools/${name}`,
      query: { ...query },
      answer: ToolInfo,
      kind: "read",
      options,
    }),
  /** Holds from the next step on, also of runs that are under way. Left out: stays; null: taken back. */
  updateTool: (name: string, changes: InputOf<typeof UpdateToolSettings>, query?: ToolsQuery, options?: CallOptions) =>
    call(caller, {
      method: "PATCH",
      path: path`/tools/${name}`,
      query: { ...query },
      body: changes,
      answer: ToolInfo,
      kind: "changes",
      options,
    }),
  /** Takes back everything that was set for a tool. */
  resetTool: (name: string, query?: ToolsQuery, options?: CallOptions) =>
    call<void>(caller, {
      method: "DELETE",
      path: path`/tools/${name}/settings`,
      query: { ...query },
      answer: null,
      kind: "changes",
      options,
    }),
});
