import { z } from "zod";
import { readSource, sourceFields } from "../library/source.ts";
import { defineTool } from "../tool.ts";

/** Words as people count them: what stands between white space. */
const words = (text: string): number => text.match(/\S+/g)?.length ?? 0;

const lines = (text: string): number => (text === "" ? 0 : text.split("\n").length - Number(text.endsWith("\n")));

export const tool = defineTool({
  name: "count_text",
  title: "Count text",
  description: "Counts the characters, words, lines and bytes of a text or file.",
  icon: "letter-text",
  effect: "pure",
  schema: z.strictObject(sourceFields),
  timeoutMs: 60_000,
  maxResultChars: 1_000,
  execute: async (source, context) => {
    const text = await readSource(source, context);
    const characters = Array.from(text).length;
    return `characters: ${characters}\nwords: ${words(text)}\nlines: ${lines(text)}\nbytes: ${Buffer.byteLength(text)}`;
  },
});
