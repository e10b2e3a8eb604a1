import type { FinishReason } from "./directives.ts";
import type { OfferedTool } from "./request/tools.ts";

/** A tool call that an answer makes; `arguments` goes out as it stands, even if it is not JSON. */
export interface PlannedCall {
  id: string;
  name: string;
  arguments: string;
}

/** What the model says to one request. The iterables are lazy, so that a million chunks need no memory, and are read once. */
export interface Answer {
  reasoning: Iterable<string>;
  text: Iterable<string>;
  calls: PlannedCall[];
  finish: FinishReason;
}

/** What a scene wants to say or do; how it is cut into chunks and sent is not its business. */
export interface Line {
  text: string;
  calls: { name: string; arguments: string }[];
}

/** Words only: the last answer of a turn. */
export function say(text: string): Line {
  return { text, calls: [] };
}

/** A tool call with a few words before it, as models do. */
export function callTool(text: string, tool: OfferedTool, args: Record<string, string | number>): Line {
  return { text, calls: [{ name: tool.name, arguments: JSON.stringify(args) }] };
}
