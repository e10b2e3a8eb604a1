import type { Model, ModelEvent, ModelRequest } from "../model.ts";
import { asPlainConversation } from "./conversation.ts";
import { xmlInstructions } from "./instructions.ts";
import { startXmlParser } from "./parser.ts";
import type { FindTool } from "./render.ts";
import { xmlTags } from "./syntax.ts";

export interface XmlToolsOptions {
  /**
   * What the tags of calls carry, 4 to 32 of `a-z0-9`. Whoever knows it can write text which, if the model repeats it, is a call: so it is as
   * good as random, belongs to one run, and is the same in all of its attempts, because it stands in the prompt that providers cache.
   */
  mark: string;
  /** Which requests are asked this way; the others go to the model as they are. Default: all. */
  when?: (request: ModelRequest) => boolean;
}

const findIn =
  (request: ModelRequest): FindTool =>
  (name) =>
    request.tools.find((tool) => tool.name === name) ?? null;

/** Calls that the endpoint sends all the same, because some parse what looks like a call, are counted behind ours. */
const nativeFrom = 1_000_000;

/**
 * A model without tool calls of its own as one that has them: the tools stand in its instructions, and it writes calls in its text
 * (`syntax.ts`). To the loop it is a model like any other.
 */
export const withXmlTools = (model: Model, { mark, when = () => true }: XmlToolsOptions): Model => {
  const tags = xmlTags(mark);

  const asked = (request: ModelRequest): ModelRequest => ({
    ...request,
    instructions: [request.instructions, ...(request.tools.length === 0 ? [] : [xmlInstructions(tags, request.tools)])]
      .filter((part) => part !== "")
      .join("\n\n"),
    messages: asPlainConversation(tags, request.messages, findIn(request)),
    tools: [],
  });

  async function* read(request: ModelRequest, signal: AbortSignal): AsyncGenerator<ModelEvent, void, void> {
    const parser = startXmlParser(tags, findIn(request));
    for await (const event of model.stream(asked(request), signal)) {
      switch (event.type) {
        case "text":
          yield* parser.push(event.text);
          // It talks for its tools. Nothing it could still say is wanted, so it is not waited for, and its usage is estimated.
          if (parser.isVoid) {
            yield { type: "finish", reason: "tool_calls" };
            return;
          }
          break;
        case "finish":
          yield* parser.end(event.reason === "length");
          yield event.reason === "stop" && parser.calls > 0 ? { type: "finish", reason: "tool_calls" } : event;
          break;
        case "tool_call":
          yield { ...event, index: event.index + nativeFrom };
          break;
        case "reasoning":
        case "usage":
          yield event;
      }
    }
  }

  return {
    name: `${model.name}, tools in the text`,
    stream: (request, signal) => (when(request) ? read(request, signal) : model.stream(request, signal)),
  };
};
