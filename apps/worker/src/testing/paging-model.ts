import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { z } from "zod";

const Request = z.looseObject({
  messages: z.array(
    z.looseObject({ role: z.string(), content: z.unknown().optional(), tool_call_id: z.string().optional() }),
  ),
});
export type PagingRequest = z.infer<typeof Request>;

export const isSummaryRequest = ({ messages: [first] }: PagingRequest): boolean =>
  typeof first?.content === "string" && first.content.startsWith("You write the summary");

/** How far the conversation has come, by the id of its newest result; 0 where there is none. */
const pageOf = ({ messages }: PagingRequest): number => {
  const newest = messages.at(-1);
  return newest?.role === "tool" ? Number(/\d+$/.exec(newest.tool_call_id ?? "")?.[0] ?? -1) + 1 : 0;
};

const bodyOf = async (request: IncomingMessage): Promise<PagingRequest> => {
  let text = "";
  for await (const piece of request.setEncoding("utf8")) text += String(piece);
  return Request.parse(JSON.parse(text));
};

/** As long as it is: a count that says less would be believed. */
const countOf = (request: PagingRequest): number => Math.ceil(JSON.stringify(request.messages).length / 4);

const answer = (
  { request, response }: { request: PagingRequest; response: ServerResponse },
  deltas: readonly Record<string, unknown>[],
  finish: string,
): void => {
  const chunk = (delta: Record<string, unknown>, finish_reason: string | null) => ({
    id: "chatcmpl-1",
    object: "chat.completion.chunk",
    created: 1,
    model: "paging",
    choices: [{ index: 0, delta, finish_reason }],
  });
  const prompt_tokens = countOf(request);
  const usage = { prompt_tokens, completion_tokens: 100, total_tokens: prompt_tokens + 100 };
  const frames = [
    ...deltas.map((delta) => chunk(delta, null)),
    chunk({}, finish),
    { ...chunk({}, null), choices: [], usage },
  ];
  response.writeHead(200, { "content-type": "text/event-stream" });
  response.end(`${frames.map((frame) => `data: ${JSON.stringify(frame)}\n\n`).join("")}data: [DONE]\n\n`);
};

const call = (id: string, name: string, args: unknown) => ({
  tool_calls: [{ index: 0, id, type: "function", function: { name, arguments: JSON.stringify(args) } }],
});

/**
 * A model that works its way through pages, talks much about each, and writes a summary when it is asked for one. It keeps no state: where it is
 * stands in the conversation. `onRequest` may refuse a request by returning false; then nothing is answered.
 */
export const startPagingModel = async (pages: number, onRequest: (request: PagingRequest) => boolean) => {
  const requests: PagingRequest[] = [];
  const serve = async (message: IncomingMessage, response: ServerResponse): Promise<void> => {
    const request = await bodyOf(message);
    requests.push(request);
    if (!onRequest(request)) return;
    if (isSummaryRequest(request))
      return answer({ request, response }, [{ content: "Pages were read; all is well." }], "stop");
    const page = pageOf(request);
    const [asked] =
      JSON.stringify(request.messages.findLast(({ role }) => role === "user")?.content).match(/recall [\w-]+/) ?? [];
    if (asked && page === 0)
      return answer({ request, response }, [call("recall-99", "expand_message", { id: asked.slice(7) })], "tool_calls");
    if (asked || page >= pages) return answer({ request, response }, [{ content: "All read." }], "stop");
    const aloud = { content: `On page ${page}: ${"so it goes on and on, ".repeat(60)}` };
    return answer(
      { request, response },
      [aloud, call(`page-${page}`, "calculator", { expression: `${page} + 1000` })],
      "tool_calls",
    );
  };
  const server = createServer((request, response) => {
    serve(request, response).catch((error: unknown) => response.destroy(error instanceof Error ? error : undefined));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    requests,
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
};
