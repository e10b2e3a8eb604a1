import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface ScriptedTool {
  name: string;
  description?: string;
  inputSchema?: unknown;
}

interface Request {
  id?: number | string;
  method?: string;
  params?: Record<string, unknown>;
}

/** What a server does about a request; undefined: as it should. */
export type Trouble = (request: Request, response: ServerResponse) => boolean;

/**
 * A server of the protocol's old era (2025-06-18: a handshake, then sessions), written at the level of its messages so that it can also lie.
 */
export const startMcpServer = async (tools: ScriptedTool[]) => {
  const seen: { method: string; headers: IncomingMessage["headers"]; params: Record<string, unknown> }[] = [];
  const state = { tools, trouble: (() => false) as Trouble, sessions: new Set<string>(), answer: "" };

  const reply = (
    response: ServerResponse,
    id: Request["id"],
    result: unknown,
    headers: Record<string, string> = {},
  ) => {
    response.writeHead(200, { "content-type": "application/json", ...headers });
    response.end(JSON.stringify({ jsonrpc: "2.0", id, result }));
  };

  const handle = (http: IncomingMessage, response: ServerResponse, request: Request) => {
    const { id, method = "" } = request;
    seen.push({ method, headers: http.headers, params: request.params ?? {} });
    if (state.trouble(request, response)) return;
    const session = http.headers["mcp-session-id"];
    if (method === "initialize") {
      const opened = crypto.randomUUID();
      state.sessions.add(opened);
      const result = {
        protocolVersion: "2025-06-18",
        capabilities: { tools: {} },
        serverInfo: { name: "old", version: "1" },
      };
      reply(response, id, result, { "mcp-session-id": opened });
    } else if (typeof session !== "string" || !state.sessions.has(session)) {
      response.writeHead(session === undefined ? 400 : 404, { "content-type": "application/json" });
      response.end(JSON.stringify({ jsonrpc: "2.0", id: null, error: { code: -32_600, message: "no such session" } }));
    } else if (method === "tools/list") {
      reply(response, id, { tools: state.tools.map((tool) => ({ inputSchema: { type: "object" }, ...tool })) });
    } else if (method === "tools/call") {
      const { name, arguments: args } = request.params ?? {};
      reply(response, id, {
        content: [{ type: "text", text: state.answer || `${String(name)}(${JSON.stringify(args)})` }],
      });
    } else {
      response.writeHead(202);
      response.end();
    }
  };

  const server = createServer((http, response) => {
    if (http.method !== "POST") {
      response.writeHead(405);
      response.end();
      return;
    }
    let text = "";
    http.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
    http.on("end", () => handle(http, response, JSON.parse(text) as Request));
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  const { port } = server.address() as AddressInfo;
  return Object.assign(state, {
    url: `http://127.0.0.1:${port}/mcp`,
    port,
    seen,
    asked: (method: string) => seen.filter((each) => each.method === method).length,
    close: () =>
      new Promise<void>((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  });
};

export type TestMcpServer = Awaited<ReturnType<typeof startMcpServer>>;
