import { expect, test } from "vitest";
import { z } from "zod";
import type { ToolSet } from "./agent.ts";
import { type AgentMessage, userMessage } from "./messages.ts";
import { anInput, ofType, play } from "./testing/run.ts";
import { calls, says, scriptedModel } from "./testing/scripted-model.ts";
import { defineTool, type Tool } from "./tool.ts";

const aTool = (name: string, ran: string[] = []): Tool =>
  defineTool({
    name,
    title: name,
    description: `Does ${name}.`,
    effect: "once",
    schema: z.strictObject({}),
    timeoutMs: 1_000,
    maxResultChars: 100,
    execute: async () => {
      ran.push(name);
      return "done";
    },
  });

const without = (name: string, ...tools: Tool[]): ToolSet => ({
  tools,
  unavailable: new Map([[name, `The tool ${name} has been switched off.`]]),
});

test("each step is asked with the tools of its moment, and a call of one that is gone is answered with the reason", async () => {
  const ran: string[] = [];
  const [read, write] = [aTool("read", ran), aTool("write", ran)];
  let now: ToolSet = { tools: [read, write] };
  const model = scriptedModel(
    calls({ name: "write", args: {}, id: "a" }),
    calls({ name: "write", args: {}, id: "b" }),
    says("Then not."),
  );
  const { events, outcome } = await play({ model, tools: [], hooks: { tools: async () => now } }, anInput(), {
    onEvent: (event) => {
      if (event.type === "step.completed") now = without("write", { ...read, description: "Reads, now." });
    },
  });
  expect(outcome.kind).toBe("completed");
  expect(model.requests.map(({ tools }) => tools.map((tool) => `${tool.name}: ${tool.description}`))).toEqual([
    ["read: Does read.", "write: Does write."],
    ["read: Reads, now."],
    ["read: Reads, now."],
  ]);
  expect(ran).toEqual(["write"]);
  expect(ofType(events, "tool_call.completed")).toMatchObject([
    { tool_call_id: "a", is_error: false },
    { tool_call_id: "b", is_error: true, result: "The tool write has been switched off." },
  ]);
});

test("a call that an earlier attempt has left runs under the tools of now", async () => {
  const ran: string[] = [];
  const call = { id: "a", name: "write", arguments: {} };
  const asked: AgentMessage = { role: "assistant", content: [], tool_calls: [call], status: "complete" };
  const { events } = await play(
    {
      model: scriptedModel(says("I see.")),
      tools: [aTool("write", ran)],
      hooks: { tools: async () => without("write") },
    },
    anInput({ messages: [userMessage("go"), asked], pendingToolCalls: [{ call, state: "run" }], firstStep: 1 }),
  );
  expect(ran).toEqual([]);
  expect(ofType(events, "tool_call.completed")).toMatchObject([
    { tool_call_id: "a", is_error: true, effect_state: "none", result: "The tool write has been switched off." },
  ]);
});
