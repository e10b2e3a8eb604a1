import { absoluteWorkspacePath, parseWorkspacePath } from "@cortex/sandbox/port";
import { z } from "zod";
import { ToolFailure } from "../errors.ts";
import { defineTool } from "../tool.ts";

/** Files beyond this size are not for editing by hand. Bytes. */
const maxBytes = 5 * 1024 * 1024;

/** Places that are named when there are several. */
const namedPlaces = 10;

/** Lines of the passage times lines of the file: a hint is not worth a busy second. */
const maxComparedLines = 5_000_000;

const lineAt = (text: string, at: number): number => {
  let line = 1;
  for (let found = text.indexOf("\n"); found !== -1 && found < at; found = text.indexOf("\n", found + 1)) line += 1;
  return line;
};

/** Where the passage begins; occurrences do not overlap. */
const placesOf = (text: string, passage: string): number[] => {
  const places: number[] = [];
  for (let at = text.indexOf(passage); at !== -1; at = text.indexOf(passage, at + passage.length)) places.push(at);
  return places;
};

/** The commonest reason why a passage is not found, if it is that: lines that end or begin with other white space. */
const whereAlmost = (text: string, passage: string): string => {
  const wanted = passage.split("\n").map((line) => line.trim());
  while (wanted[0] === "") wanted.shift();
  while (wanted.at(-1) === "") wanted.pop();
  const [first] = wanted;
  const lines = text.split("\n");
  if (first === undefined || wanted.length * lines.length > maxComparedLines) return "";
  for (const [index, line] of lines.entries()) lines[index] = line.trim();
  for (let at = lines.indexOf(first); at !== -1; at = lines.indexOf(first, at + 1)) {
    if (wanted.every((line, offset) => lines[at + offset] === line)) {
      return ` A passage that differs from it only in white space begins at line ${at + 1}.`;
    }
  }
  return "";
};

/**
 * `once`, although a second run mostly fails honestly because the old text is gone: where the new text contains the old one (an
 * insertion, the commonest edit) it would be inserted twice. So an uncertain edit is not repeated; the model looks and decides.
 */
export const tool = defineTool({
  name: "edit_file",
  title: "Edit file",
  description:
    "Replaces one passage of a text file. old_text must occur exactly once, character by character; " +
    "take enough of the lines around it to make it unique, or set replace_all. Read the file first.",
  icon: "file-pen",
  effect: "once",
  parallel: false,
  schema: z.strictObject({
    path: z.string().min(1).describe("The file, inside /workspace."),
    old_text: z.string().min(1).describe("The passage as it stands in the file, without line numbers."),
    new_text: z.string().describe("What to put in its place. Empty: the passage is removed."),
    replace_all: z.boolean().optional().describe("Replace every occurrence, for instance of a name. Default false."),
  }),
  timeoutMs: 60_000,
  maxResultChars: 2_000,
  execute: async ({ path, old_text, new_text, replace_all = false }, { openSandbox, signal }) => {
    if (old_text === new_text) throw new ToolFailure("old_text and new_text are the same; nothing was changed.");
    const target = parseWorkspacePath(path);
    const name = absoluteWorkspacePath(target);
    const { files } = await openSandbox();
    const before = await files.stat(target, signal);
    if (!before) throw new ToolFailure(`There is no file ${name}.`);
    const bytes = await files.read(target, { maxBytes }, signal);
    let text: string;
    try {
      text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    } catch {
      throw new ToolFailure(`${name} is not a UTF-8 text file; nothing was changed.`);
    }
    const places = placesOf(text, old_text);
    const [at] = places;
    if (at === undefined) {
      const almost = whereAlmost(text, old_text);
      throw new ToolFailure(`old_text does not occur in ${name}; nothing was changed.${almost} Read the file again.`);
    }
    // Overlapping ones count here: which of them is meant is as unclear.
    if (!replace_all && text.indexOf(old_text, at + 1) !== -1) {
      const lines = places.slice(0, namedPlaces).map((place) => lineAt(text, place));
      throw new ToolFailure(
        `old_text occurs more than once in ${name} (lines ${lines.join(", ")}${places.length > namedPlaces ? ", …" : ""}); ` +
          "nothing was changed. Take more of the lines around it, or set replace_all.",
      );
    }
    const growth = (new_text.length - old_text.length) * (replace_all ? places.length : 1);
    if (growth > 0 && text.length + growth > maxBytes) {
      throw new ToolFailure(`${name} would be longer than ${maxBytes} bytes; nothing was changed.`);
    }
    const edited = replace_all
      ? text.replaceAll(old_text, () => new_text)
      : text.slice(0, at) + new_text + text.slice(at + old_text.length);
    // Somebody else may have written meanwhile (another run on the same workspace): their change must not be lost.
    await files.write(target, edited, { ifMatch: before.etag }, signal);
    const first = `Edited ${name} at line ${lineAt(text, at)}`;
    return places.length > 1 ? `${first} and ${places.length - 1} further places.` : `${first}.`;
  },
});
