import type { McpServerForRun } from "@cortex/agents";
import { silentLogger } from "@cortex/observability";
import { expect, test } from "vitest";
import { createRunTools } from "./run-tools.ts";

/** Of its input a list of tools needs no more than this. */
type Given = Parameters<typeof createRunTools>;

const serverWith = (name: string, count: number): McpServerForRun => ({
  id: crypto.randomUUID(),
  account_id: crypto.randomUUID(),
  name,
  url: "https://example.com/mcp",
  revision: "1",
  headers_sealed: null,
  approval: "never",
  effect: "once",
  pinned: Array.from({ length: count }, (_, index) => ({
    name: `mcp_${name}_t${index}`,
    server_tool: `t${index}`,
    description: "",
    parameters: { type: "object", properties: {} },
    hash: "",
  })),
});

test("a run has no more tools than a model can be given; whoever calls one of the others is told", async () => {
  const servers = [serverWith("a", 64), serverWith("b", 64), serverWith("c", 5)];
  const tools = createRunTools(
    { log: silentLogger(), tools: [], vault: null } as Partial<Given[0]> as Given[0],
    { tools: null } as Partial<Given[1]> as Given[1],
    {} as Given[2],
    { agentTools: null, approvals: {}, toolSettings: { version: 1, settings: [], servers } } as Partial<
      Given[3]
    > as Given[3],
    { toolsVersion: () => 1 },
  );
  const set = await tools();
  expect(set.tools).toHaveLength(128);
  expect([...(set.unavailable ?? [])].map(([name]) => name)).toEqual([
    "mcp_c_t0",
    "mcp_c_t1",
    "mcp_c_t2",
    "mcp_c_t3",
    "mcp_c_t4",
  ]);
  expect(set.unavailable?.get("mcp_c_t0")).toContain("one too many");
});
