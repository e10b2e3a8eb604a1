import { badDirective, findDirectives, splitCall } from "./directive-syntax.ts";
import {
  DIRECTIVES,
  type DirectedCall,
  type DirectiveName,
  type Directives,
  type Fault,
  type FinishReason,
} from "./directives.ts";
import { isFailure } from "./failures.ts";

/** Bounds a prompt's wishes: nobody needs more, and a typing error must not occupy a machine for a day. */
const MAX_CHUNKS = 1_000_000;
const MAX_DELAY_MS = 60_000;
const MAX_CHUNK_CHARACTERS = 16_384;
const FINISH_REASONS: readonly string[] = ["stop", "length", "tool_calls", "content_filter"] satisfies FinishReason[];

/** Reads the directives of the last user message; `rest` is the prompt without them. Throws `ModelError` (400). */
export function parseDirectives(prompt: string): { directives: Directives; rest: string } {
  const { found, rest } = findDirectives(prompt);
  const directives: Directives = {
    delayMs: null,
    tokens: null,
    chunk: null,
    batch: null,
    say: null,
    reasoning: 0,
    finish: null,
    usage: true,
    cached: 0,
    calls: [],
    parallel: false,
    sameId: false,
    loop: null,
    faults: [],
    at: null,
  };
  for (const { name, value } of found) apply(directives, name, value);
  return { directives, rest };
}

function apply(directives: Directives, name: DirectiveName, value: string | null): void {
  switch (name) {
    case "delay":
      directives.delayMs = number(name, value, 0, MAX_DELAY_MS);
      return;
    case "tokens":
      directives.tokens = number(name, value, 1, MAX_CHUNKS);
      return;
    case "chunk":
      directives.chunk = number(name, value, 1, MAX_CHUNK_CHARACTERS);
      return;
    case "batch":
      directives.batch = number(name, value, 1, MAX_CHUNKS);
      return;
    case "say":
      directives.say = required(name, value);
      return;
    case "reasoning":
      directives.reasoning = number(name, value, 1, MAX_CHUNKS);
      return;
    case "finish":
      directives.finish = finishReason(required(name, value));
      return;
    case "nousage":
      directives.usage = !flag(name, value);
      return;
    case "cached":
      directives.cached = number(name, value, 0, MAX_CHUNKS);
      return;
    case "tool":
      directives.calls.push(directedCall(name, value));
      return;
    case "badargs":
      directives.calls.push({ name: required(name, value).trim(), arguments: CUT_OFF_ARGUMENTS });
      return;
    case "parallel":
      directives.parallel = flag(name, value);
      return;
    case "sameid":
      directives.sameId = flag(name, value);
      return;
    case "loop":
      directives.loop = directedCall(name, value);
      return;
    case "at":
      directives.at = number(name, value, 1, MAX_CHUNKS);
      return;
    default:
      directives.faults.push(parseFault(name, value));
  }
}

/** What a model leaves behind that stopped in the middle of its arguments: a string that is open, an object that is open. */
const CUT_OFF_ARGUMENTS = '{"path": "no';

type FaultName = Fault["kind"];
/** Where a fault strikes in the stream when the prompt does not say: late enough that something was shown already. */
const DEFAULT_AFTER = 2;

function parseFault(name: FaultName, written: string | null): Fault {
  const [first = "", ...attributes] = (written ?? "").trim().split(/\s+/);
  const parts = /^([^*]*)(?:\*(\d+))?$/.exec(first);
  if (parts === null) throw badDirective(`[[${name}=${first}]]: write the count as in [[${name}*2]].`);
  const [, value = "", count] = parts;
  const times = count === undefined ? null : Number(count);
  if (name === "fail") {
    if (!isFailure(value)) throw badDirective(`[[fail=${value}]] is not known. ${DIRECTIVES.fail.meaning}.`);
    return { kind: name, times, failure: value, retryAfter: retryAfter(attributes) };
  }
  if (attributes.length > 0) throw badDirective(`[[${name}]] takes no '${attributes.join(" ")}'.`);
  if (name === "hang" || name === "empty") {
    if (value !== "") throw badDirective(`[[${name}]] takes no value.`);
    return { kind: name, times };
  }
  return { kind: name, times, after: value === "" ? DEFAULT_AFTER : number(name, value, 0, MAX_CHUNKS) };
}

function retryAfter(attributes: string[]): string | null {
  const [attribute, ...others] = attributes;
  if (attribute === undefined) return null;
  const seconds = /^retry-after=(.+)$/.exec(attribute)?.[1];
  if (seconds === undefined || others.length > 0) throw badDirective("[[fail=…]] takes only 'retry-after=<seconds>'.");
  return seconds;
}

function directedCall(name: "tool" | "loop", value: string | null): DirectedCall {
  const call = splitCall(required(name, value));
  return { name: call.name, arguments: call.json === "" ? "{}" : call.json };
}

function finishReason(value: string): FinishReason {
  if (FINISH_REASONS.includes(value)) return value as FinishReason;
  throw badDirective(`[[finish=${value}]]: expected one of ${FINISH_REASONS.join(", ")}.`);
}

function required(name: DirectiveName, value: string | null): string {
  if (value !== null && value.trim() !== "") return value;
  throw badDirective(`[[${name}]] needs a value: [[${DIRECTIVES[name].usage}]].`);
}

function flag(name: DirectiveName, value: string | null): true {
  if (value === null) return true;
  throw badDirective(`[[${name}]] takes no value.`);
}

function number(name: DirectiveName, value: string | null, low: number, high: number): number {
  const text = required(name, value).trim();
  const parsed = Number(text);
  if (/^\d+$/.test(text) && parsed >= low && parsed <= high) return parsed;
  throw badDirective(`[[${name}=${text}]]: expected a whole number from ${low} to ${high}.`);
}
