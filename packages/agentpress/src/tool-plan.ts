import type { ToolCallRequest } from "@cortex/contracts";
import type { ToolSet } from "./agent.ts";
import type { WrittenCall } from "./answer.ts";
import { type Json, storableText } from "./storable.ts";
import type { Tool } from "./tool.ts";
import { parseArguments } from "./tool-arguments.ts";
import { unquoted } from "./tool-coercion.ts";

/** More calls in one answer than any task needs: the rest is refused, so that one answer cannot keep a worker for hours. */
const maxCallsPerAnswer = 64;

/** A call and what will come of it: the tool that acts, or the problem that the model reads instead. */
export type PlannedCall = {
  request: ToolCallRequest;
  /** What the model has to know before it reads the result. */
  note?: string;
} & ({ acts: Tool; problem: null } | { acts: null; problem: string });

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

/** What a call asks for. Arguments that are no JSON object, or of a call that must not run, stay the raw text, which no tool takes. */
const argumentsOf = (call: WrittenCall, tool: Tool | null): { value: Json; problem: string | null } => {
  const raw = storableText(call.text);
  if (call.problem !== null) return { value: raw, problem: call.problem };
  const parsed = parseArguments(call.text);
  if (!parsed.ok) return { value: raw, problem: parsed.problem };
  const { value } = parsed;
  const meant = tool === null || tool.check(value) === null ? value : unquoted(tool, value);
  return { value: meant !== value && tool?.check(meant) === null ? meant : value, problem: null };
};

/** Decides about each call of an answer, before anything acts. What is stored of a call is what would run. */
export const planCalls = (set: ToolSet, calls: readonly WrittenCall[]): PlannedCall[] =>
  calls.map((call, index) => {
    const tool = set.tools.find((candidate) => candidate.name === call.name) ?? null;
    const { value, problem } = argumentsOf(call, tool);
    const request: ToolCallRequest = { id: call.id, name: call.name, arguments: value };
    if (index >= maxCallsPerAnswer) {
      return plan(request, `Not run: an answer may hold at most ${maxCallsPerAnswer} tool calls.`, tool);
    }
    if (call.problem !== null || (tool !== null && problem !== null)) return plan(request, problem, tool);
    return plan(request, problemOf({ name: call.name, args: value }, tool, set), tool);
  });

/** Raw text is what is stored of a call that could not be read, or that was not whole though its text can be read. */
const unreadText = (text: string): string => {
  const parsed = parseArguments(text);
  return parsed.ok ? "Not run: the call was not whole. Make it again." : parsed.problem;
};

/** The same for a call that was already stored, of an earlier attempt. */
export const planStoredCall = (set: ToolSet, request: ToolCallRequest): PlannedCall => {
  const { name, arguments: args } = request;
  const tool = set.tools.find((candidate) => candidate.name === name) ?? null;
  if (tool !== null && typeof args === "string") return plan(request, unreadText(args), tool);
  return plan(request, problemOf({ name, args }, tool, set), tool);
};

/** Is there nothing wrong with the call itself? A tool that the run has to do without, since somebody switched it off, is no fault of the model's. */
export const isSound = (set: ToolSet, request: ToolCallRequest): boolean =>
  set.unavailable?.has(request.name) === true || planStoredCall(set, request).acts !== null;

/** The calls as they are, none of which will run. */
export const refuseCalls = (calls: readonly PlannedCall[], problem: string): PlannedCall[] =>
  calls.map(({ request }) => ({ request, acts: null, problem }));

/** Does a call look at something that goes on by itself? */
export const polls = (set: ToolSet, request: ToolCallRequest): boolean =>
  set.tools.some((tool) => tool.name === request.name && tool.polls);
