import { writtenAs } from "../argument-schema.ts";
import { ModelError } from "../errors.ts";
import type { ModelEvent } from "../model.ts";
import { parseJson } from "../tool-arguments.ts";
import type { FindTool } from "./render.ts";
import type { XmlTags } from "./syntax.ts";

/** Longest argument that is no text, which has to be whole before it can be read. Characters; as much as a whole answer may have. */
const maxJson = 4_000_000;

/** Of an opening tag; null: they cannot be read. */
type Attributes = ReadonlyMap<string, string> | null;

/** An argument that is no text is collected until it is whole. */
type Argument = { as: "text" } | { as: "json"; name: string; pieces: string[]; size: number };

/**
 * Says in the events of a model what a reader finds of calls: the arguments as one JSON object, text in pieces as it comes. What is wrong with a call is
 * said at its end, so that it does not run.
 */
export class CallWriter {
  /** How many calls were begun. */
  count = 0;
  readonly #tags: XmlTags;
  readonly #find: FindTool;
  readonly #emit: (event: ModelEvent) => void;
  #tool = "";
  #names = new Set<string>();
  #argument: Argument = { as: "text" };
  #problem: string | null = null;

  constructor(tags: XmlTags, find: FindTool, emit: (event: ModelEvent) => void) {
    this.#tags = tags;
    this.#find = find;
    this.#emit = emit;
  }

  /** The first thing that is wrong is what the model reads. */
  blame(problem: string): void {
    this.#problem ??= problem;
  }

  begin(attributes: Attributes): void {
    this.count += 1;
    this.#names = new Set();
    this.#problem = null;
    this.#tool = attributes?.get("name") ?? "";
    if (this.#tool === "") this.blame(`The tag of a call must read ${this.#tags.openCall} name="…">.`);
    this.#piece("{", this.#tool === "" ? "unreadable" : this.#tool);
  }

  end(): void {
    this.#piece("}");
    if (this.#problem === null) return;
    const problem = this.#problem;
    this.#emit({ type: "tool_call", index: this.count - 1, id: null, name: null, arguments: "", problem });
  }

  beginArgument(attributes: Attributes): void {
    const given = attributes?.get("name");
    const name = given ?? "";
    if (given === undefined) this.blame(`The tag of an argument must read ${this.#tags.openArg} name="…">.`);
    else if (this.#names.has(name)) this.blame(`The argument "${name}" stands twice.`);
    this.#piece(`${this.#names.size === 0 ? "" : ","}${JSON.stringify(name)}:`);
    this.#names.add(name);
    const type = attributes?.get("type");
    const as = type === "json" || type === "text" ? type : writtenAs(this.#find(this.#tool), name);
    this.#argument = as === "text" ? { as } : { as, name, pieces: [], size: 0 };
    if (as === "text") this.#piece('"');
  }

  /** @throws ModelError when an argument outgrows `maxJson` */
  value(text: string): void {
    const argument = this.#argument;
    if (argument.as === "text") {
      this.#piece(JSON.stringify(text).slice(1, -1));
      return;
    }
    argument.pieces.push(text);
    argument.size += text.length;
    if (argument.size <= maxJson) return;
    throw new ModelError("model_malformed", {
      phase: "answer",
      detail: "an argument is longer than any model writes",
    });
  }

  /** What should be JSON and is none goes on as text: then the tool's own check says what it wants. */
  endArgument(): void {
    const argument = this.#argument;
    if (argument.as === "text") {
      this.#piece('"');
      return;
    }
    const text = argument.pieces.join("");
    const parsed = parseJson(text.trim());
    if (!parsed.ok && /^\s*[[{]/.test(text))
      this.blame(`The argument "${argument.name}" cannot be read. ${parsed.problem}`);
    this.#piece(JSON.stringify(parsed.ok ? parsed.value : text));
  }

  #piece(text: string, name: string | null = null): void {
    if (text === "" && name === null) return;
    this.#emit({ type: "tool_call", index: this.count - 1, id: null, name, arguments: text });
  }
}
