import { ModelError } from "../errors.ts";
import type { ModelEvent } from "../model.ts";
import { parseJson } from "../tool-arguments.ts";
import type { FindTool } from "./render.ts";
import { writtenAs } from "../argument-schema.ts";
import { readAttributes, type XmlTags } from "./syntax.ts";
import { startValue, type ValueReader } from "./value-reader.ts";

/** Longest opening tag. Characters. */
const maxTag = 1_000;

/** Longest argument that is no text, which has to be whole before it can be read. Characters; as much as a whole answer may have. */
const maxJson = 4_000_000;

/** White space that is held back because a call may follow it. Characters. */
const maxSpace = 16;

/** Where models that go on talking for the tool begin to do so. */
const inventedResults = ["<result>", "<tool_result", "<function_result", "<tool_response", "<tool_output"];

type Value = { reader: ValueReader; close: string; name: string } & (
  | { as: "text" }
  | { as: "json"; pieces: string[]; size: number }
);

type Place =
  | { in: "text" }
  | { in: "tag"; of: "call" | "arg"; text: string }
  | { in: "call" }
  | { in: "value"; value: Value }
  /** The model has begun to write results itself: nothing of it counts any more. */
  | { in: "void" };

/**
 * Reads text that may hold tool calls, see `syntax.ts`, in whatever pieces it comes: what is certainly text and what certainly belongs to a
 * call goes out with the piece that made it certain. Linear in the text; remembers one tag, or one argument that is no text.
 */
export interface XmlParser {
  push(text: string): ModelEvent[];
  /**
   * The answer is over: gives out what was held back. A call that is not closed is said to be so, and must not run.
   * @param cut by the output limit, so that it may be gone on with: then half of a tag is not text, it will be written again
   */
  end(cut: boolean): ModelEvent[];
  /** How many calls were begun. */
  readonly calls: number;
  /** What the model writes now is invented; ask it nothing more. */
  readonly isVoid: boolean;
}

const inside = (text: string): string => JSON.stringify(text).slice(1, -1);

export const startXmlParser = (tags: XmlTags, find: FindTool): XmlParser => {
  let place: Place = { in: "text" };
  /** What was pushed and not yet read. */
  let input = "";
  let space = "";
  let calls = 0;
  let tool: string | null = null;
  let args = 0;
  /** Words were said since the last call, so that white space is part of them. */
  let spoken = false;
  let problem: string | null = null;
  let events: ModelEvent[] = [];

  const blame = (sentence: string) => (problem ??= sentence);
  const say = (text: string) => {
    if (text !== "") events.push({ type: "text", text });
  };
  const piece = (text: string, name: string | null = null) => {
    if (text !== "" || name !== null)
      events.push({ type: "tool_call", index: calls - 1, id: null, name, arguments: text });
  };

  const beginCall = (attributes: ReadonlyMap<string, string> | null): void => {
    calls += 1;
    args = 0;
    problem = null;
    tool = attributes?.get("name") ?? "";
    if (tool === "") blame(`The tag of a call must read ${tags.openCall} name="…">.`);
    piece("{", tool === "" ? "unreadable" : tool);
  };

  const endCall = (): void => {
    piece("}");
    if (problem !== null) {
      events.push({ type: "tool_call", index: calls - 1, id: null, name: null, arguments: "", problem });
    }
    tool = null;
    spoken = false;
  };

  const beginValue = (suffix: string, attributes: ReadonlyMap<string, string> | null): void => {
    const name = attributes?.get("name");
    if (name === undefined) blame(`The tag of an argument must read ${tags.openArg} name="…">.`);
    const type = attributes?.get("type");
    const as = type === "json" ? "json" : type === "text" ? "text" : writtenAs(find(tool ?? ""), name ?? "");
    const close = tags.closeArg(suffix);
    const common = { reader: startValue(close), close, name: name ?? "" };
    piece(`${args === 0 ? "" : ","}${JSON.stringify(name ?? "")}:`);
    args += 1;
    if (as === "text") piece('"');
    place = { in: "value", value: as === "text" ? { ...common, as } : { ...common, as, pieces: [], size: 0 } };
  };

  /** An argument that is no text, and is whole. What is no JSON either goes on as text: then the tool's own check says what it wants. */
  const endJson = (name: string, text: string): void => {
    const parsed = parseJson(text.trim());
    if (parsed.ok) return piece(JSON.stringify(parsed.value));
    if (/^\s*[[{]/.test(text)) blame(`The argument "${name}" cannot be read. ${parsed.problem}`);
    piece(JSON.stringify(text));
  };

  const readValue = (value: Value): void => {
    const read = value.reader.push(input);
    input = read.rest ?? "";
    if (value.as === "text") piece(inside(read.value));
    else {
      value.pieces.push(read.value);
      value.size += read.value.length;
      if (value.size > maxJson) {
        throw new ModelError("model_malformed", {
          phase: "answer",
          detail: "an argument is longer than any model writes",
        });
      }
    }
    if (read.rest === null) return;
    if (value.as === "text") piece('"');
    else endJson(value.name, value.pieces.join(""));
    place = { in: "call" };
  };

  const endTag = (of: "call" | "arg", text: string): void => {
    if (of === "call") {
      const closed = text.endsWith("/");
      beginCall(readAttributes(closed ? text.slice(0, -1) : text));
      place = closed ? { in: "text" } : { in: "call" };
      if (closed) endCall();
      return;
    }
    const suffix = /^[\w-]*/.exec(text)?.[0] ?? "";
    beginValue(suffix, readAttributes(text.slice(suffix.length)));
  };

  /** Reads an opening tag up to its `>`. One that does not end is taken as ended, so that what follows is still known to be no text. */
  const readTag = (tag: Extract<Place, { in: "tag" }>): void => {
    const end = input.indexOf(">");
    const room = maxTag - tag.text.length;
    const taken = Math.min(end === -1 ? input.length : end, room);
    tag.text += input.slice(0, taken);
    if (end !== -1 && taken === end) {
      input = input.slice(end + 1);
      endTag(tag.of, tag.text);
    } else {
      input = input.slice(taken);
      if (taken === room) endTag(tag.of, "");
    }
  };

  type Found = { kind: "call" | "arg" | "close" | "result"; length: number } | "maybe" | null;

  /** What begins at the `<` at `at`. An opening tag goes on with white space, `/` or `>`; that of an argument may have a longer mark before. */
  const look = (at: number, candidates: readonly (readonly ["call" | "arg" | "close" | "result", string])[]): Found => {
    let maybe: Found = null;
    for (const [kind, tag] of candidates) {
      if (input.startsWith(tag, at)) {
        const next = input[at + tag.length];
        if (kind === "close" || kind === "result" || kind === "arg") return { kind, length: tag.length };
        if (next === undefined) maybe = "maybe";
        else if (/[\s/>]/.test(next)) return { kind, length: tag.length };
      } else if (input.length - at < tag.length && tag.startsWith(input.slice(at))) maybe = "maybe";
    }
    return maybe;
  };

  const inText = [["call", tags.openCall]] as const;
  const afterCall = [
    ...inText,
    ["result", tags.openResult] as const,
    ...inventedResults.map((tag) => ["result", tag] as const),
  ];
  const inCall = [
    ["arg", tags.openArg],
    ["close", tags.closeCall],
    ["call", tags.openCall],
  ] as const;

  /** Text goes out, but for white space before a call and behind one. */
  const speak = (text: string): void => {
    const whole = space + text;
    const trimmed = whole.trimEnd();
    const from = Math.max(trimmed.length, whole.length - maxSpace);
    space = whole.slice(from);
    if (trimmed !== "") spoken = true;
    say(whole.slice(0, from));
  };

  const readText = (): void => {
    if (calls > 0 && !spoken) input = input.trimStart();
    const candidates = calls > 0 ? afterCall : inText;
    for (let at = input.indexOf("<"); at !== -1; at = input.indexOf("<", at + 1)) {
      const found = look(at, candidates);
      if (found === null) continue;
      speak(input.slice(0, at));
      if (found === "maybe") {
        input = input.slice(at);
        return;
      }
      space = "";
      input = input.slice(at + found.length);
      place = found.kind === "call" ? { in: "tag", of: "call", text: "" } : { in: "void" };
      return;
    }
    speak(input);
    input = "";
  };

  const readCall = (): void => {
    const at = input.indexOf("<");
    const before = at === -1 ? input : input.slice(0, at);
    const found = at === -1 ? null : look(at, inCall);
    if (before.trim() !== "")
      blame(
        `Between the arguments of a call stands something that is none. Write ${tags.openArg} name="…">…${tags.closeArg("")}.`,
      );
    if (at === -1 || found === "maybe") {
      input = input.slice(before.length);
      return;
    }
    if (found === null) {
      blame(
        `Between the arguments of a call stands a tag that is none. Write ${tags.openArg} name="…">…${tags.closeArg("")}.`,
      );
      input = input.slice(at + 1);
      return;
    }
    input = input.slice(at + found.length);
    if (found.kind === "call") {
      blame(`The call was not closed with ${tags.closeCall}.`);
      endCall();
    }
    if (found.kind === "close") {
      endCall();
      place = { in: "text" };
    } else place = { in: "tag", of: found.kind === "call" ? "call" : "arg", text: "" };
  };

  /** Reads on as long as that changes anything. */
  const read = (): void => {
    for (;;) {
      const before = place;
      const length = input.length;
      if (place.in === "text") readText();
      else if (place.in === "tag") readTag(place);
      else if (place.in === "call") readCall();
      else if (place.in === "value") readValue(place.value);
      else input = "";
      if (input === "" || (place === before && input.length === length)) return;
    }
  };

  const given = (): ModelEvent[] => {
    const out = events;
    events = [];
    return out;
  };

  return {
    get calls() {
      return calls;
    },
    get isVoid() {
      return place.in === "void";
    },
    push: (text) => {
      input += text;
      read();
      return given();
    },
    end: (cut) => {
      const rest = space + (cut ? "" : input);
      if (place.in === "text") say(calls > 0 ? rest.trimEnd() : rest);
      else if (place.in !== "void") {
        if (place.in === "tag" && place.of === "call") beginCall(readAttributes(place.text));
        blame(
          `The call is not whole: it was not closed with ${place.in === "value" ? place.value.close : tags.closeCall}.`,
        );
        endCall();
      }
      place = { in: "text" };
      input = "";
      return given();
    },
  };
};
