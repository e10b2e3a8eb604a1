import { once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";

/** In a prompt: the endpoint refuses the request and repeats what it was sent, key and all, as some do. */
export const tellMyKey = "tell-my-key";

/**
 * An endpoint in front of another one that, where the prompt asks for it, puts the key of the request into its error; and a collector of traces
 * that always does (`/v1/traces`).
 */
export const startTellingEndpoint = async (behind: string) => {
  let told = 0;
  const answerOf = async (request: IncomingMessage) => {
    const body = await text(request);
    const { authorization = "" } = request.headers;
    if (request.url === "/v1/traces") {
      told += 1;
      return new Response(JSON.stringify({ refused: request.headers }), { status: 401 });
    }
    if (body.includes(tellMyKey)) {
      told += 1;
      const message = `Incorrect API key provided: ${authorization.replace("Bearer ", "")}. Sent: ${authorization}`;
      const error = {
        error: { message, type: "invalid_request_error", param: authorization, code: "invalid_api_key" },
      };
      return new Response(JSON.stringify(error), { status: 401, headers: { "x-key": authorization } });
    }
    const headers = new Headers({ authorization, "content-type": "application/json" });
    for (const [name, value] of Object.entries(request.headers))
      if (name.startsWith("x-cortex-") && typeof value === "string") headers.set(name, value);
    const path = (request.url ?? "").replace(/^\/v1/, "");
    return fetch(`${behind}${path}`, { method: request.method ?? "GET", headers, ...(body === "" ? {} : { body }) });
  };
  const server = createServer((request, response) => {
    answerOf(request)
      .then(async (answer) => {
        response.writeHead(answer.status, { "content-type": answer.headers.get("content-type") ?? "application/json" });
        response.end(Buffer.from(await answer.arrayBuffer()));
      })
      .catch((error: unknown) => response.destroy(error instanceof Error ? error : undefined));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/v1`,
    port,
    told: () => told,
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
};
