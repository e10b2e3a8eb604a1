import { z } from "zod";
import { ToolFailure } from "../errors.ts";
import { headOf } from "../storable.ts";
import { defineTool } from "../tool.ts";

/** Characters of one answer. A conversation that had to be shortened must not be filled up again by one call. */
const maxSlice = 20_000;

export const tool = defineTool({
  name: "expand_message",
  title: "Expand message",
  description:
    "Shows a result or a message of this conversation that was left out to save room. Long ones come in parts: ask for the next with start.",
  icon: "unfold-vertical",
  effect: "pure",
  schema: z.strictObject({
    id: z
      .string()
      .min(1)
      .max(128)
      .describe("The id of the tool call, or of the message, as it is written where it was left out."),
    start: z.int().min(0).optional().describe("The first character, from 0. Default 0."),
    length: z.int().min(1).max(maxSlice).optional().describe(`How many characters. Default and most: ${maxSlice}.`),
  }),
  timeoutMs: 30_000,
  maxResultChars: maxSlice + 1_000,
  execute: async ({ id, start = 0, length = maxSlice }, { readMessage }) => {
    if (!readMessage) throw new ToolFailure("This run keeps no messages that could be read again.");
    const found = await readMessage(id);
    if (!found) throw new ToolFailure(`This conversation has no call and no message with the id "${id}".`);
    const { text } = found;
    if (start > 0 && start >= text.length) throw new ToolFailure(`It has ${text.length} characters only.`);
    // A pair of surrogates is never split, also where a part begins.
    const from = start > 0 && /[\udc00-\udfff]/.test(text.charAt(start)) ? start - 1 : start;
    const slice = headOf(text.slice(from), length);
    const end = from + slice.length;
    const rest =
      end < text.length ? `\n[Characters ${from} to ${end} of ${text.length}. Go on with start ${end}.]` : "";
    return slice === "" ? "It is empty." : slice + rest;
  },
});
