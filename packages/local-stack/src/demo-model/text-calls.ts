import type { Answer, PlannedCall } from "./answer.ts";
import type { Json } from "./model-error.ts";
import { isObject } from "./model-error.ts";

const parsed = (text: string): Json => {
  try {
    return JSON.parse(text) as Json;
  } catch {
    return null;
  }
};

/** A call as text, word by word. Arguments that are no JSON make a call that breaks off. */
function* callPieces(mark: string, call: PlannedCall): Generator<string> {
  yield `\n\n<call-${mark} name="${call.name}">`;
  const args = parsed(call.arguments);
  if (!isObject(args)) {
    yield `\n<arg-${mark} name="`;
    return;
  }
  for (const [name, value] of Object.entries(args)) {
    yield `\n<arg-${mark} name="${name}">`;
    const text = typeof value === "string" ? value : JSON.stringify(value);
    yield* (text.includes("\n") ? `\n${text}\n` : text).match(/\s*\S+|\s+$/g) ?? [text];
    yield `</arg-${mark}>`;
  }
  yield `\n</call-${mark}>`;
}

/** An answer of a model that has no tool calls of its own: they are part of what it says. */
export function withCallsInText(answer: Answer, mark: string): Answer {
  function* pieces(): Generator<string> {
    yield* answer.text;
    for (const call of answer.calls) yield* callPieces(mark, call);
  }
  return { ...answer, text: pieces(), calls: [], finish: answer.finish === "tool_calls" ? "stop" : answer.finish };
}
