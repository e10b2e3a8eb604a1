import type { ToolCallRequest } from "@cortex/contracts";
import type { ToolSet } from "./agent.ts";
import type { WrittenCall } from "./answer.ts";
import { storableText } from "./storable.ts";
import type { Tool } from "./tool.ts";
import { parseArguments } from "./tool-arguments.ts";

/** More calls in one answer than any task needs: the rest is refused, so that one answer cannot keep a worker for hours. */
const maxCallsPerAnswer = 64;

/** A call and what will come of it: the tool that acts, or the problem that the model reads instead. */
export type PlannedCall = { request: ToolCallRequest } & (
  | { acts: Tool; problem: null }
  | { acts: null; problem: string }
);

const unknownTool = (name: string, { tools, unavailable }: ToolSet): string => {
  const reason = unavailable?.get(name);
  if (reason !== undefined) return storableText(reason);
  const known = tools.map((tool) => tool.name).join(", ");
  return storableText(
    `There is no tool "${name.slice(0, 100)}". ${known === "" ? "There are no tools." : `The tools are: ${known}.`}`,
  );
};

const problemOf = (call: { name: string; args: unknown }, tool: Tool | null, set: ToolSet): string | null =>
  tool === null ? unknownTool(call.name, set) : tool.check(call.args);

const plan = (request: ToolCallRequest, problem: string | null, tool: Tool | null): PlannedCall =>
  problem === null && tool !== null
    ? { request, acts: tool, problem: null }
    : { request, acts: null, problem: problem ?? "The call cannot be run." };

/** Decides about each call of an answer, before anything acts. Arguments that are no JSON object stay the raw text. */
export const planCalls = (set: ToolSet, calls: readonly WrittenCall[]): PlannedCall[] =>
  calls.map((call, index) => {
    const tool = set.tools.find((candidate) => candidate.name === call.name) ?? null;
    const parsed = parseArguments(call.text);
    const args = parsed.ok ? parsed.value : storableText(call.text);
    const request: ToolCallRequest = { id: call.id, name: call.name, arguments: args };
    if (index >= maxCallsPerAnswer) {
      return plan(request, `Not run: an answer may hold at most ${maxCallsPerAnswer} tool calls.`, tool);
    }
    if (tool !== null && !parsed.ok) return plan(request, parsed.problem, tool);
    return plan(request, problemOf({ name: call.name, args }, tool, set), tool);
  });

/** The same for a call that was already stored, of an earlier attempt. */
export const planStoredCall = (set: ToolSet, request: ToolCallRequest): PlannedCall => {
  const tool = set.tools.find((candidate) => candidate.name === request.name) ?? null;
  return plan(request, problemOf({ name: request.name, args: request.arguments }, tool, set), tool);
};

/** The calls as they are, none of which will run. */
export const refuseCalls = (calls: readonly PlannedCall[], problem: string): PlannedCall[] =>
  calls.map(({ request }) => ({ request, acts: null, problem }));
