import { absoluteWorkspacePath, parseWorkspacePath } from "@cortex/sandbox/port";
import { z } from "zod";
import { ToolFailure } from "../errors.ts";
import { defineTool } from "../tool.ts";

/** Files beyond this size are not for editing by hand. Bytes. */
const maxBytes = 5 * 1024 * 1024;

/**
 * `once`, although a second run mostly fails honestly because the old text is gone: where the new text contains the old one (an
 * insertion, the commonest edit) it would be inserted twice. So an uncertain edit is not repeated; the model looks and decides.
 */
export const tool = defineTool({
  name: "edit_file",
  title: "Edit file",
  description:
    "Replaces one passage of a text file. old_text must occur exactly once, character by character; " +
    "take enough of the lines around it to make it unique. Read the file first.",
  icon: "file-pen",
  effect: "once",
  parallel: false,
  schema: z.strictObject({
    path: z.string().min(1).describe("The file, inside /workspace."),
    old_text: z.string().min(1).describe("The passage as it stands in the file, without line numbers."),
    new_text: z.string().describe("What to put in its place. Empty: the passage is removed."),
  }),
  timeoutMs: 60_000,
  maxResultChars: 2_000,
  execute: async ({ path, old_text, new_text }, { openSandbox, signal }) => {
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
    const at = text.indexOf(old_text);
    if (at === -1)
      throw new ToolFailure(`old_text does not occur in ${name}; nothing was changed. Read the file again.`);
    if (text.indexOf(old_text, at + 1) !== -1) {
      throw new ToolFailure(
        `old_text occurs more than once in ${name}; nothing was changed. Take more of the lines around it.`,
      );
    }
    const edited = text.slice(0, at) + new_text + text.slice(at + old_text.length);
    // Somebody else may have written meanwhile (another run on the same workspace): their change must not be lost.
    await files.write(target, edited, { ifMatch: before.etag }, signal);
    const line = text.slice(0, at).split("\n").length;
    return `Edited ${name} at line ${line}.`;
  },
});
