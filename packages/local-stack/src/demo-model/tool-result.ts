import { type Json, type JsonObject, isObject } from "./model-error.ts";
import type { ToolResult } from "./turn.ts";

/** What came back from a tool: its own words, and whether they are an error. */
export interface ToolOutcome {
  failed: boolean;
  text: string;
}

const TEXT_FIELDS = ["stdout", "output", "content", "text", "result", "value", "answer", "message", "stderr"];

/**
 * Reads a tool message. The chat protocol has no field for an error, so an engine says it in words or in JSON; both are understood.
 * JSON that is no wrapper around a text (a data file, say) is the text itself.
 */
export function readOutcome({ text }: ToolResult): ToolOutcome {
  const json = parseJson(text);
  if (isObject(json)) {
    const error = errorText(json);
    if (error !== null) return { failed: true, text: error };
    return { failed: false, text: wrappedText(json) ?? text };
  }
  if (typeof json === "string") return { failed: false, text: json };
  return { failed: /^\s*(?:tool )?error\s*[:(]/i.test(text), text };
}

/**
 * The number that a calculator gave back, exactly as it was written, so that no digit passes through a float of ours. Null if there
 * is none: a number somewhere inside an error message must not be taken for a result.
 */
export function readNumber(result: ToolResult): string | null {
  const outcome = readOutcome(result);
  if (outcome.failed) return null;
  const text = outcome.text.trim();
  return (
    /^(?:[^=]*=|(?:the )?(?:result|answer|value)(?: is)?:?)?\s*(-?\d+(?:\.\d+)?(?:e[+-]?\d+)?)\.?$/i.exec(text)?.[1] ??
    null
  );
}

/** A line of `read_file` as the platform's tool numbers it, and what it may say around the lines. */
const NUMBERED = /^ *\d+\t/;
const NOTICE = /^\[[^\n]*\]$/;
/** How a refusal begins. A tool message does not say whether it is one, and a file's own text must not be taken for it lightly. */
const REFUSAL =
  /^(?:there is no|no such|not found|cannot|could not|this is a (?:folder|binary)|the (?:path (?:leads|must)|tool|call|file is) |the arguments do not fit)/i;

/** The content of a file in the answer of `read_file`: without line numbers and notices. */
export function readFileContent(result: ToolResult): ToolOutcome {
  const outcome = readOutcome(result);
  if (outcome.failed) return outcome;
  const lines = outcome.text.split("\n");
  const numbered = lines.filter((line) => NUMBERED.test(line));
  if (numbered.length > 0 && lines.every((line) => NUMBERED.test(line) || NOTICE.test(line))) {
    return { failed: false, text: numbered.map((line) => line.replace(NUMBERED, "")).join("\n") };
  }
  if (/^\S+ is empty\.$/.test(outcome.text.trim())) return { failed: false, text: "" };
  return { failed: REFUSAL.test(outcome.text), text: outcome.text };
}

/** What a command printed, and how it ended if the tool says so. */
export function readCommandOutput(result: ToolResult): ToolOutcome {
  const outcome = readOutcome(result);
  const [ending = "", code] = /\n?\[exit code (-?\d+|null)\]\s*$/.exec(outcome.text) ?? [];
  if (code === "0") return { failed: false, text: outcome.text.slice(0, outcome.text.length - ending.length) };
  return { failed: outcome.failed || code !== undefined || REFUSAL.test(outcome.text), text: outcome.text };
}

/** Whether a file was written: only a tool that says so is believed. */
export function readWritten(result: ToolResult): ToolOutcome {
  const outcome = readOutcome(result);
  const text = outcome.text.replace(/^(?:\[[^\n]*\]\n)+/, "");
  return {
    failed: outcome.failed || !/^(?:created|replaced|wrote|written|saved|updated|ok|done|success)/i.test(text),
    text,
  };
}

function errorText(json: JsonObject): string | null {
  const error = json["error"];
  if (typeof error === "string" && error !== "") return error;
  if (isObject(error)) return typeof error["message"] === "string" ? error["message"] : JSON.stringify(error);
  if (json["is_error"] === true || json["ok"] === false) return wrappedText(json) ?? JSON.stringify(json);
  return null;
}

function wrappedText(json: JsonObject): string | null {
  for (const field of TEXT_FIELDS) {
    const value = json[field];
    if (typeof value === "string" && value !== "") return value;
    if (typeof value === "number") return String(value);
  }
  return null;
}

function parseJson(text: string): Json | undefined {
  const first = text.trimStart().charAt(0);
  if (first !== "{" && first !== '"') return undefined;
  try {
    return JSON.parse(text) as Json;
  } catch {
    return undefined; // plain text that only looks like JSON
  }
}
