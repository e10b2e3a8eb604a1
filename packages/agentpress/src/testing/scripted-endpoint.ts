import { once } from "node:events";
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { z } from "zod";

/** A request as the endpoint saw it. */
export interface SeenRequest {
  headers: IncomingHttpHeaders;
  body: Record<string, unknown>;
  /** Which connection it came on, counted from 0. */
  connection: number;
  /** The client went away before the answer was complete. */
  aborted: boolean;
  /** The whole answer is out. */
  finished: boolean;
}

/** How the endpoint answers one request. It owns the response from the first byte to the last. */
export type Answerer = (response: ServerResponse) => unknown;

export interface ScriptedEndpoint {
  url: string;
  requests: SeenRequest[];
  close(): Promise<void>;
}

const bodyOf = async (request: IncomingMessage): Promise<Record<string, unknown>> => {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(z.instanceof(Buffer).parse(part));
  return z.record(z.string(), z.unknown()).parse(JSON.parse(Buffer.concat(parts).toString()));
};

/** A real HTTP server that plays its answers in order and repeats the last one. */
export const startScriptedEndpoint = async (...answers: Answerer[]): Promise<ScriptedEndpoint> => {
  const requests: SeenRequest[] = [];
  const connections: unknown[] = [];
  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const seen: SeenRequest = {
      headers: request.headers,
      body: await bodyOf(request),
      connection: connections.indexOf(request.socket),
      aborted: false,
      finished: false,
    };
    requests.push(seen);
    response.on("finish", () => (seen.finished = true));
    response.on("close", () => (seen.aborted = !seen.finished));
    await answers[Math.min(requests.length, answers.length) - 1]?.(response);
  };
  const server = createServer((request, response) => {
    serve(request, response).catch((error: unknown) => response.destroy(error instanceof Error ? error : undefined));
  });
  server.on("connection", (socket) => connections.push(socket));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/v1`,
    requests,
    close: async () => {
      server.closeAllConnections();
      server.close();
      if (server.listening) await once(server, "close");
    },
  };
};

/** A JSON error as OpenAI and LiteLLM write it. */
export const fails =
  (status: number, error: Record<string, unknown> = {}, headers: Record<string, string> = {}): Answerer =>
  (response) => {
    response.writeHead(status, { "content-type": "application/json", ...headers });
    response.end(
      JSON.stringify({
        error: { message: `status ${status}`, type: "error", param: null, code: String(status), ...error },
      }),
    );
  };

export type Delta = Record<string, unknown>;

/** One server-sent event. */
export const frame = (data: unknown): string => `data: ${typeof data === "string" ? data : JSON.stringify(data)}\n\n`;

/** A piece of a tool call; the first one of a call carries its id and name. */
export const callPiece = (
  index: number,
  args: string,
  head?: { id: string | null; name: string },
): Record<string, unknown> =>
  chunk({
    tool_calls: [
      {
        index,
        ...(head ? { id: head.id, type: "function" } : {}),
        function: { ...(head ? { name: head.name } : {}), arguments: args },
      },
    ],
  });

export const textPiece = (words: string): Record<string, unknown> => chunk({ content: words });

export const chunk = (delta: Delta, finish: string | null = null): Record<string, unknown> => ({
  id: "chatcmpl-1",
  object: "chat.completion.chunk",
  created: 1,
  model: "scripted",
  choices: [{ index: 0, delta, finish_reason: finish }],
});

export const usageChunk = (usage: Record<string, unknown>): Record<string, unknown> => ({
  ...chunk({}),
  choices: [],
  usage,
});

/** The usual end: the finish, the usage, the marker. */
export const ending = (finish = "stop"): unknown[] => [
  chunk({}, finish),
  usageChunk({ prompt_tokens: 12, completion_tokens: 7, total_tokens: 19 }),
  "[DONE]",
];

/** Sends this and ends the connection. What was written must be on its way first, or nothing of it arrives. */
export const cutAfter = async (response: ServerResponse, text: string): Promise<void> => {
  const { promise, resolve } = Promise.withResolvers<void>();
  response.write(text, () => resolve());
  await promise;
  response.socket?.end();
};

export type StreamEnd = "end" | "cut" | "hang";

/** Streams these frames (objects as JSON, text as it is) and then ends properly, cuts the connection, or goes silent. */
export const streams =
  (frames: readonly unknown[], then: StreamEnd = "end"): Answerer =>
  async (response) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.flushHeaders();
    for (const one of frames) response.write(frame(one));
    if (then === "end") response.end();
    if (then !== "cut") return;
    await cutAfter(response, ": cut\n\n");
  };

export const answersText = (text: string): Answerer =>
  streams([...(text.match(/\S+\s*/g) ?? []).map((word) => chunk({ content: word })), ...ending()]);

/** Accepts the request and never says a word. */
export const hangs: Answerer = () => undefined;
