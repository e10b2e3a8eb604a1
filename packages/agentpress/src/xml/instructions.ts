import type { ToolDeclaration } from "../model.ts";
import { renderCall } from "./render.ts";
import { type XmlTags } from "./syntax.ts";

/** What a model without tool calls of its own must know. One line of JSON per tool; nothing in it changes within a run. */
export const xmlInstructions = (tags: XmlTags, tools: readonly ToolDeclaration[]): string => {
  const example = { id: "", name: "create_file", arguments: { path: "notes.md", content: "# Notes\n\nFirst line" } };
  const exampleTool: ToolDeclaration = { name: "create_file", description: "", parameters: {} };
  const lines = tools.map(({ name, description, parameters }) => JSON.stringify({ name, description, parameters }));
  return `# Tools

You can call tools by writing calls in your answer. This is a call:

${renderCall(tags, example, () => exampleTool)}

- Copy the tags exactly, with their mark. Anything else is taken as plain text and does nothing.
- Text is written as it is, never escaped or quoted. Arguments that are no text (numbers, true, false, null, lists, objects) are written as JSON.
  Where a tool takes both, what you write is text; say type="json" in the tag if you mean the other.
- A value of several lines begins on the line after its tag and ends on the line before its closing tag, as in the example.
- If a value must itself contain ${tags.closeArg("")}, make the mark of that argument longer, in both of its tags: ${tags.openArg}-2 name="content">…${tags.closeArg("-2")}
- You may say something before a call, and make several calls one after the other. After the last call, end your answer: the results come in
  the next message, as ${tags.openResult} name="…">…${tags.closeResult("")}. Never write a result yourself.

The tools, each with the JSON Schema of its arguments:

${lines.join("\n")}`;
};
