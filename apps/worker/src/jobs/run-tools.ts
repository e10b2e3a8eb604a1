import type { Tool, ToolSet } from "@cortex/agentpress";
import { effectiveTool, readToolSettingsForRun, type ToolRules } from "@cortex/agents";
import type { ToolAuthority } from "@cortex/contracts";
import type { ClaimedRun, Lease, Recorder, RunInput } from "@cortex/runs";
import type { WorkerServices } from "../services.ts";
import { mcpToolsOf } from "./mcp-tools.ts";

/** Why a tool is switched off, for the model that calls it all the same. */
const reasons: Readonly<Record<Exclude<ToolAuthority, "tool">, string>> = {
  account: "is disabled by the settings of this account",
  agent: "is disabled by the settings of this agent",
  agent_version: "is not among the tools of this agent",
};

const sentence = (name: string, reason: string): string =>
  `The tool ${name} ${reason}. The call was not run; go on without it.`;

/** What is said about the tools of a run. */
interface RunRules {
  rules: ToolRules;
  /** What it was started with; null: whatever its agent has. */
  runTools: readonly string[] | null;
}

/** More of them, and OpenAI refuses the request: the run would fail. */
const mostTools = 128;

/** Tools that the run or its agent names and that there are no longer. */
const missingTools = (all: readonly Tool[], { rules, runTools }: RunRules): string[] =>
  [...new Set([...(rules.version?.tools ?? []), ...(runTools ?? [])])].filter(
    (name) => !all.some((tool) => tool.name === name),
  );

/**
 * The tools of a run: all there are, narrowed by what the run was started with, and as account and agent have them. Their order stays, for the
 * prompt cache.
 */
const toolSetOf = (all: readonly Tool[], said: RunRules): ToolSet => {
  const { rules, runTools } = said;
  const tools: Tool[] = [];
  const unavailable = new Map<string, string>();
  for (const tool of all) {
    const { enabled, description, approval, decided_by } = effectiveTool(tool, rules);
    const by = decided_by.enabled;
    if (!enabled && by !== "tool") unavailable.set(tool.name, sentence(tool.name, reasons[by]));
    else if (runTools !== null && !runTools.includes(tool.name))
      unavailable.set(tool.name, sentence(tool.name, "is not among the tools that this run was started with"));
    else if (tools.length >= mostTools)
      unavailable.set(tool.name, sentence(tool.name, `is one too many: a model can be given ${mostTools} tools`));
    // Where nobody has said anything, the tool itself: what was found out about it (its length in tokens) holds for all runs.
    else if (description === tool.description && approval === tool.approval) tools.push(tool);
    else tools.push({ ...tool, description, approval });
  }
  for (const name of missingTools(all, said)) unavailable.set(name, sentence(name, "does not exist here any more"));
  return { tools, unavailable };
};

/**
 * The tools of a run at each of its steps. Answers from memory unless the last write of the run has said that the account's tools have changed: a
 * change is seen at the next step, and a step without one costs nothing.
 */
export const createRunTools = (
  services: Pick<WorkerServices, "db" | "tools" | "mcp" | "vault" | "log">,
  run: ClaimedRun,
  lease: Lease,
  input: RunInput,
  recorder: Pick<Recorder, "toolsVersion">,
): (() => Promise<ToolSet>) => {
  const saidIn = ({ settings }: RunInput["toolSettings"]): RunRules => ({
    rules: { settings, version: { tools: input.agentTools, approvals: input.approvals } },
    runTools: run.tools,
  });
  const allIn = ({ servers }: RunInput["toolSettings"]) => [...services.tools, ...mcpToolsOf(services, servers)];
  let asOf = input.toolSettings;
  const atFirst = allIn(asOf);
  let set = toolSetOf(atFirst, saidIn(asOf));
  const missing = missingTools(atFirst, saidIn(asOf));
  if (missing.length > 0)
    services.log.warn({ tools: missing }, "the run goes on without tools that there are no longer");

  return async () => {
    // A continued run may have read its settings after its last write.
    if ((recorder.toolsVersion() ?? 0) <= asOf.version) return set;
    const place = { accountId: run.account_id, agentId: run.agent_id };
    asOf = await lease.outlast(() => readToolSettingsForRun(services.db, place));
    set = toolSetOf(allIn(asOf), saidIn(asOf));
    services.log.info({ tools_version: asOf.version }, "the settings of the run's tools have changed");
    return set;
  };
};
