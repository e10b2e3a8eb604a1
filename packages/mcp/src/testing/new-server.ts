import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { createMcpHandler, McpServer } from "@modelcontextprotocol/server";
import { z } from "zod";

/** A server of the protocol's new era (2026-07-28, stateless), made with the library that its authors publish. */
export const startNewServer = async () => {
  const seen: { version: string | undefined; method: string | undefined }[] = [];
  const handler = createMcpHandler(() => {
    const server = new McpServer({ name: "new", version: "1" });
    const inputSchema = z.object({ a: z.number(), b: z.number() });
    server.registerTool("add", { description: "Adds", inputSchema }, ({ a, b }) => ({
      content: [{ type: "text", text: String(a + b) }],
    }));
    server.registerTool("fail", { description: "Fails", inputSchema: z.object({}) }, () => {
      throw new Error("it always does");
    });
    return server;
  });
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const header = (name: string) => request.headers[name]?.toString();
      seen.push({ version: header("mcp-protocol-version"), method: header("mcp-method") });
      const asked = new Request(`http://127.0.0.1${request.url ?? ""}`, {
        method: request.method ?? "GET",
        headers: Object.entries(request.headers).map(([name, value]): [string, string] => [name, String(value)]),
        ...(chunks.length > 0 ? { body: Buffer.concat(chunks) } : {}),
      });
      void (async () => {
        const answer = await handler.fetch(asked);
        response.writeHead(answer.status, Object.fromEntries(answer.headers));
        response.end(Buffer.from(await answer.arrayBuffer()));
      })();
    });
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/mcp`,
    port,
    seen,
    close: () =>
      new Promise<void>((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
};
