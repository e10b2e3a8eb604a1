/**
 * What a prompt can make the demo model do, by directives in double square brackets anywhere in the last user message.
 * This table is the one list: the parser, the page at `GET /`, the answer to a misspelled directive and a test of
 * `docs/demo-model.md` all read it.
 *
 * Words: an *answer* is what one request gets. A *chunk* is one frame of a streamed answer that carries text, reasoning or a piece
 * of a tool call; the frames around it (role, finish, usage) do not count. A *turn* is everything since the last user message, so
 * a turn with two tool calls has three answers.
 *
 * A fault (`fails: true`) may be counted: `[[fail=429*2]]` strikes twice, then the answer comes. Without a count it always strikes.
 * The count belongs to the conversation and begins again after an answer that was not disturbed.
 */
export const DIRECTIVES = {
  delay: { usage: "delay=50", meaning: "milliseconds between chunks" },
  tokens: { usage: "tokens=500", meaning: "exactly 500 chunks of repeatable text: `w1 w2 … w500`" },
  chunk: { usage: "chunk=8", meaning: "characters per chunk (default: one word)" },
  batch: { usage: "batch=1", meaning: "chunks per network write while there is no delay (default 64)" },
  say: { usage: "say=Good morning", meaning: "answers exactly this text" },
  reasoning: { usage: "reasoning=20", meaning: "20 chunks of `reasoning_content` before the answer" },
  finish: { usage: "finish=length", meaning: "the finish_reason: `stop`, `length`, `tool_calls` or `content_filter`" },
  nousage: { usage: "nousage", meaning: "leaves the usage out" },
  cached: { usage: "cached=100", meaning: "reports so many tokens of the prompt as read from a cache" },
  tool: {
    usage: 'tool=list_files {"path":"."}',
    meaning: "calls a tool, offered or not; several run one per answer, in order",
  },
  badargs: { usage: "badargs=list_files", meaning: "calls a tool with arguments that are cut-off JSON" },
  parallel: {
    usage: "parallel",
    meaning: "puts all calls of `tool` and `badargs` into one answer, their pieces interleaved",
  },
  sameid: { usage: "sameid", meaning: "gives all calls of an answer the same id" },
  loop: {
    usage: 'loop=calculator {"expression":"1 + $n"}',
    meaning: "calls this tool in every answer, for ever; `$n` becomes the number of the call, so that no two are equal",
  },
  fail: {
    usage: "fail=429 retry-after=2",
    meaning:
      "an HTTP error instead of an answer: `400`, `401`, `403`, `404`, `408`, `429`, `500`, `502` (HTML), `503`, `529`, `context`, `policy` or `budget`",
    fails: true,
  },
  hang: { usage: "hang", meaning: "never sends the headers", fails: true },
  empty: { usage: "empty", meaning: "an answer without text and without calls", fails: true },
  stall: {
    usage: "stall=5",
    meaning: "goes silent after 5 chunks (default 2, here and below) and keeps the connection",
    fails: true,
  },
  cut: { usage: "cut=5", meaning: "drops the connection after 5 chunks", fails: true },
  eof: {
    usage: "eof=5",
    meaning: "ends the stream properly after 5 chunks, but without finish_reason and `[DONE]`",
    fails: true,
  },
  garbage: { usage: "garbage=5", meaning: "sends a frame that is not JSON after 5 chunks", fails: true },
  errorframe: { usage: "errorframe=5", meaning: "sends an error inside the stream after 5 chunks", fails: true },
  at: { usage: "at=2", meaning: "faults strike only in the second answer of the turn" },
} as const satisfies Record<string, { usage: string; meaning: string; fails?: true }>;

export type DirectiveName = keyof typeof DIRECTIVES;
export type FinishReason = "stop" | "length" | "tool_calls" | "content_filter";

/** A call that was asked for by name; `arguments` goes out as it stands here. */
export interface DirectedCall {
  name: string;
  arguments: string;
}

/** Something that goes wrong. `times: null` means always; `after` counts chunks. */
export type Fault = { times: number | null } & (
  | { kind: "fail"; failure: string; retryAfter: string | null }
  | { kind: "hang" }
  | { kind: "empty" }
  | { kind: "stall" | "cut" | "eof" | "garbage" | "errorframe"; after: number }
);

/** The directives of one prompt. Absent ones are null, false or an empty list. */
export interface Directives {
  delayMs: number | null;
  tokens: number | null;
  chunk: number | null;
  batch: number | null;
  say: string | null;
  reasoning: number;
  finish: FinishReason | null;
  usage: boolean;
  cached: number;
  calls: DirectedCall[];
  parallel: boolean;
  sameId: boolean;
  loop: DirectedCall | null;
  faults: Fault[];
  at: number | null;
}

/** One line per directive, for people. */
export function directiveList(): string {
  return Object.values(DIRECTIVES)
    .map(({ usage, meaning }) => `[[${usage}]]  ${meaning}`)
    .join("\n");
}
