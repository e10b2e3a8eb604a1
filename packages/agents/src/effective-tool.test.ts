import type { ToolApproval, ToolSettings } from "@cortex/contracts";
import { expect, test } from "vitest";
import { effectiveTool, type ToolRules, type ToolSetting } from "./effective-tool.ts";

const tool = { name: "shell", description: "Runs a command.", approval: "if_tainted" as const };
const silent: ToolSettings = { enabled: null, description: null, approval: null };
const setting = (agent_id: string | null, says: Partial<ToolSettings>): ToolSetting => ({
  ...silent,
  ...says,
  tool_name: "shell",
  agent_id,
});
const rules = (input: {
  account?: Partial<ToolSettings>;
  agent?: Partial<ToolSettings>;
  tools?: string[] | null;
  approvals?: Record<string, ToolApproval>;
}): ToolRules => ({
  settings: [
    ...(input.account ? [setting(null, input.account)] : []),
    ...(input.agent ? [setting("a", input.agent)] : []),
    { ...silent, enabled: false, description: "Other", approval: "always", tool_name: "other", agent_id: null },
  ],
  version: { tools: input.tools ?? null, approvals: input.approvals ?? {} },
});

test("a tool that nobody speaks about is as it declares itself", () => {
  expect(effectiveTool(tool, rules({}))).toEqual({
    enabled: true,
    description: "Runs a command.",
    approval: "if_tainted",
    decided_by: { enabled: "tool", description: "tool", approval: "tool" },
    settings: { account: null, agent: null },
  });
  expect(effectiveTool(tool, { settings: [], version: null })).toMatchObject({ enabled: true });
});

test.for([
  [{ account: { enabled: false }, agent: { enabled: true } }, "account"],
  [{ account: { enabled: true }, agent: { enabled: false } }, "agent"],
  [{ account: { enabled: true }, agent: { enabled: true }, tools: ["other"] }, "agent_version"],
  [{ account: { enabled: true }, tools: ["shell"] }, null],
] as const)("nobody enables what somebody else has switched off: %j", ([said, by]) => {
  const { tools, ...rest } = { tools: null, ...said };
  expect(effectiveTool(tool, rules({ ...rest, tools: tools && [...tools] }))).toMatchObject({
    enabled: by === null,
    decided_by: { enabled: by ?? "tool" },
  });
});

test("the account says what it wants about approval, agents and versions can only be stricter", () => {
  const approval = (...said: Parameters<typeof rules>) => {
    const { approval: effective, decided_by } = effectiveTool(tool, rules(...said));
    return [effective, decided_by.approval];
  };
  expect(approval({ account: { approval: "never" } })).toEqual(["never", "account"]);
  expect(approval({ agent: { approval: "never" }, approvals: { shell: "never" } })).toEqual(["if_tainted", "tool"]);
  expect(approval({ account: { approval: "always" }, agent: { approval: "never" } })).toEqual(["always", "account"]);
  expect(approval({ account: { approval: "never" }, agent: { approval: "if_tainted" } })).toEqual([
    "if_tainted",
    "agent",
  ]);
  expect(approval({ agent: { approval: "if_tainted" }, approvals: { shell: "always" } })).toEqual([
    "always",
    "agent_version",
  ]);
});

test("the nearest description wins, and a name of the language's own is no rule", () => {
  expect(effectiveTool(tool, rules({ account: { description: "A" }, agent: { description: "B" } }))).toMatchObject({
    description: "B",
    decided_by: { description: "agent" },
    settings: { account: { description: "A" }, agent: { description: "B" } },
  });
  expect(effectiveTool(tool, rules({ account: { description: "A" }, agent: {} }))).toMatchObject({
    description: "A",
    settings: { agent: null },
  });
  expect(effectiveTool({ ...tool, name: "constructor" }, rules({}))).toMatchObject({ approval: "if_tainted" });
});
