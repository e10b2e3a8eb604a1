import type { AgentVersion, ToolApproval, ToolAuthority, ToolInfo, ToolSettings } from "@cortex/contracts";

/** One row of settings. */
export interface ToolSetting extends ToolSettings {
  tool_name: string;
  /** Null: it holds for the whole account. */
  agent_id: string | null;
}

/** Everything that is said about the tools of an account, or of one of its agents. */
export interface ToolRules {
  /** Of the account, and of that agent; of no other. */
  settings: readonly ToolSetting[];
  /** Of the agent's version; null: no agent is asked about. */
  version: { tools: readonly string[] | null; approvals: AgentVersion["approvals"] } | null;
}

/** What of a tool may be ruled. */
interface Declared {
  name: string;
  description: string;
  approval: ToolApproval;
}

/** How a tool is, after everybody has spoken. */
export type ToolInEffect = Pick<ToolInfo, "enabled" | "description" | "approval" | "decided_by" | "settings">;

const strictness: Record<ToolApproval, number> = { never: 0, if_tainted: 1, always: 2 };

type Said<Value> = readonly [by: ToolAuthority, value: Value | null | undefined];

/** The strictest of what was said; of equals, whoever stands further up. */
const strictest = (first: readonly [ToolAuthority, ToolApproval], ...others: Said<ToolApproval>[]) =>
  others.reduce<readonly [ToolAuthority, ToolApproval]>(
    (strict, [by, value]) => (value != null && strictness[value] > strictness[strict[1]] ? [by, value] : strict),
    first,
  );

/** Null: a row that says nothing any more. */
const said = (setting: ToolSetting | null): ToolSettings | null => {
  if (setting === null) return null;
  const { enabled, description, approval } = setting;
  return enabled === null && description === null && approval === null ? null : { enabled, description, approval };
};

/**
 * What holds for a tool. The account may say anything about it; its agents, and their versions, can only be stricter: switch it off, and ask for
 * more approval. So whoever manages an account knows that what they say holds for every agent. A description is wording, not a permission:
 * the nearest one wins.
 */
export const effectiveTool = (tool: Declared, rules: ToolRules): ToolInEffect => {
  const own = rules.settings.filter((setting) => setting.tool_name === tool.name);
  const account = own.find((setting) => setting.agent_id === null) ?? null;
  const agent = own.find((setting) => setting.agent_id !== null) ?? null;
  const { version } = rules;

  const refusals: readonly (readonly [ToolAuthority, boolean])[] = [
    ["account", account?.enabled === false],
    ["agent", agent?.enabled === false],
    ["agent_version", version?.tools != null && !version.tools.includes(tool.name)],
  ];
  const refusedBy = refusals.find(([, refuses]) => refuses)?.[0] ?? null;

  const wordings: readonly Said<string>[] = [
    ["agent", agent?.description],
    ["account", account?.description],
  ];
  const [wordedBy, description] = wordings.find(([, text]) => text != null) ?? (["tool", tool.description] as const);

  const [approvedBy, approval] = strictest(
    account?.approval == null ? ["tool", tool.approval] : ["account", account.approval],
    ["agent", agent?.approval],
    // Not of the object's prototype: a tool may be called `constructor`.
    ["agent_version", version && Object.hasOwn(version.approvals, tool.name) ? version.approvals[tool.name] : null],
  );
  return {
    enabled: refusedBy === null,
    description: description ?? tool.description,
    approval,
    decided_by: { enabled: refusedBy ?? "tool", description: wordedBy, approval: approvedBy },
    settings: { account: said(account), agent: said(agent) },
  };
};
