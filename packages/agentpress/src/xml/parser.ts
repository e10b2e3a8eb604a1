import type { ModelEvent } from "../model.ts";
import { CallWriter } from "./call-writer.ts";
import { candidatesOf, look } from "./look.ts";
import type { FindTool } from "./render.ts";
import { readAttributes, type XmlTags } from "./syntax.ts";
import { startValue, type ValueReader } from "./value-reader.ts";

/** Longest opening tag. Characters. */
const maxTag = 1_000;

/** White space that is held back because a call may follow it. Characters. */
const maxSpace = 16;

type Place =
  | { in: "text" }
  | { in: "tag"; of: "call" | "arg"; text: string }
  | { in: "call" }
  | { in: "value"; reader: ValueReader; close: string }
  /** The model has begun to write results itself: nothing of it counts any more. */
  | { in: "void" };

/**
 * Reads text that may hold tool calls, see `syntax.ts`, in whatever pieces it comes: what is certainly text and what certainly belongs to a
 * call goes out with the piece that made it certain. Linear in the text; remembers one tag, or one argument that is no text.
 */
export interface XmlParser {
  /** @throws ModelError for an argument that no model would write */
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

export const startXmlParser = (tags: XmlTags, find: FindTool): XmlParser => {
  const candidates = candidatesOf(tags);
  const form = `Write ${tags.openArg} name="…">…${tags.closeArg("")}.`;
  let place: Place = { in: "text" };
  /** What was pushed and not yet read. */
  let input = "";
  let space = "";
  /** Words were said since the last call, so that white space is part of them. */
  let spoken = false;
  let events: ModelEvent[] = [];
  const writer = new CallWriter(tags, find, (event) => void events.push(event));

  const say = (text: string) => {
    if (text !== "") events.push({ type: "text", text });
  };

  /** Text goes out, but for white space before a call and behind one. */
  const speak = (text: string): void => {
    const whole = space + text;
    const trimmed = whole.trimEnd();
    const from = Math.max(trimmed.length, whole.length - maxSpace);
    space = whole.slice(from);
    if (trimmed !== "") spoken = true;
    say(whole.slice(0, from));
  };

  const endCall = (): void => {
    writer.end();
    spoken = false;
  };

  const readText = (): void => {
    if (writer.count > 0 && !spoken) input = input.trimStart();
    for (let at = input.indexOf("<"); at !== -1; at = input.indexOf("<", at + 1)) {
      const found = look(input, at, writer.count > 0 ? candidates.afterCall : candidates.text);
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

  const endTag = (of: "call" | "arg", text: string): void => {
    if (of === "call") {
      const closed = text.endsWith("/");
      writer.begin(readAttributes(closed ? text.slice(0, -1) : text));
      place = closed ? { in: "text" } : { in: "call" };
      if (closed) endCall();
      return;
    }
    const suffix = /^[\w-]*/.exec(text)?.[0] ?? "";
    const close = tags.closeArg(suffix);
    writer.beginArgument(readAttributes(text.slice(suffix.length)));
    place = { in: "value", reader: startValue(close), close };
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

  const readValue = (reader: ValueReader): void => {
    const { value, rest } = reader.push(input);
    input = rest ?? "";
    writer.value(value);
    if (rest === null) return;
    writer.endArgument();
    place = { in: "call" };
  };

  const readCall = (): void => {
    const at = input.indexOf("<");
    const before = at === -1 ? input : input.slice(0, at);
    const found = at === -1 ? null : look(input, at, candidates.call);
    if (before.trim() !== "") writer.blame(`Between the arguments of a call stands something that is none. ${form}`);
    if (at === -1 || found === "maybe") {
      input = input.slice(before.length);
      return;
    }
    if (found === null) {
      writer.blame(`Between the arguments of a call stands a tag that is none. ${form}`);
      input = input.slice(at + 1);
      return;
    }
    input = input.slice(at + found.length);
    if (found.kind === "arg") {
      place = { in: "tag", of: "arg", text: "" };
      return;
    }
    if (found.kind === "call") writer.blame(`The call was not closed with ${tags.closeCall}.`);
    endCall();
    place = found.kind === "call" ? { in: "tag", of: "call", text: "" } : { in: "text" };
  };

  /** Reads on as long as that changes anything. */
  const read = (): void => {
    for (;;) {
      const before = place;
      const length = input.length;
      if (place.in === "text") readText();
      else if (place.in === "tag") readTag(place);
      else if (place.in === "call") readCall();
      else if (place.in === "value") readValue(place.reader);
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
      return writer.count;
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
      if (place.in === "text") say(writer.count > 0 ? rest.trimEnd() : rest);
      else if (place.in !== "void") {
        if (place.in === "tag" && place.of === "call") writer.begin(readAttributes(place.text));
        const close = place.in === "value" ? place.close : tags.closeCall;
        writer.blame(`The call is not whole: it was not closed with ${close}.`);
        endCall();
      }
      place = { in: "text" };
      input = "";
      space = "";
      return given();
    },
  };
};
