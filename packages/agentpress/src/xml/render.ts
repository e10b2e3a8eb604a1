import type { ToolCallRequest } from "@cortex/contracts";
import type { ToolDeclaration } from "../model.ts";
import { writtenAs } from "../argument-schema.ts";
import { attribute, enclosed, freeSuffix, type XmlTags } from "./syntax.ts";

export type FindTool = (name: string) => ToolDeclaration | null;

/** One argument. Its type is only said where the schema would read it otherwise. */
const renderArgument = (tags: XmlTags, tool: ToolDeclaration | null, name: string, value: unknown): string => {
  const asText = typeof value === "string";
  const text = asText ? value : JSON.stringify(value);
  const type = asText === (writtenAs(tool, name) === "text") ? "" : ` type="${asText ? "text" : "json"}"`;
  const suffix = freeSuffix(text, tags.closeArg);
  return `${tags.openArg}${suffix} name="${attribute(name)}"${type}>${enclosed(text)}${tags.closeArg(suffix)}`;
};

/** A call as the model should have written it. One whose arguments could not be read is shown with the text that was there instead. */
export const renderCall = (tags: XmlTags, call: ToolCallRequest, find: FindTool): string => {
  const args = call.arguments;
  const readable = args !== null && typeof args === "object" && !Array.isArray(args) ? args : { unreadable: args };
  const tool = find(call.name);
  const lines = Object.entries(readable).map(([name, value]) => renderArgument(tags, tool, name, value));
  return [`${tags.openCall} name="${attribute(call.name)}">`, ...lines, tags.closeCall].join("\n");
};

/** A result as the model reads it. What the tool answered cannot end it early. */
export const renderResult = (tags: XmlTags, name: string, text: string): string => {
  const suffix = freeSuffix(text, tags.closeResult);
  return `${tags.openResult}${suffix} name="${attribute(name)}">\n${text}\n${tags.closeResult(suffix)}`;
};
