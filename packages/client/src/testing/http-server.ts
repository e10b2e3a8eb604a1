import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** A request as it arrived. */
export interface Arrived {
  method: string;
  path: string;
  query: URLSearchParams;
  headers: IncomingHttpHeaders;
  body: string;
}

export interface TestServer extends AsyncDisposable {
  url: string;
  /** In the order in which they arrived. */
  arrived: Arrived[];
}

export type Answer = (request: Arrived, response: ServerResponse, number: number) => void | Promise<void>;

/** A real HTTP server on a port of its own. `answer` gets each request with its number, from 0. Ends with its `using` block. */
export const serve = async (answer: Answer): Promise<TestServer> => {
  const arrived: Arrived[] = [];
  const server = createServer((request, response) => {
    void (async () => {
      const url = new URL(request.url ?? "/", "http://127.0.0.1");
      const { method = "", headers } = request;
      const one = { method, path: url.pathname, query: url.searchParams, headers, body: await bodyOf(request) };
      arrived.push(one);
      await answer(one, response, arrived.length - 1);
    })();
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    arrived,
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
};

export const json = (
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: Record<string, string> = {},
): void => {
  const type = status < 400 ? "application/json" : "application/problem+json";
  response.writeHead(status, { "content-type": type, ...headers }).end(JSON.stringify(body));
};

/** A problem document as the API writes it. */
export const problem = (
  response: ServerResponse,
  status: number,
  code: string,
  more: { retryable?: boolean; retry_after_ms?: number; agent_run_id?: string; errors?: object[] } = {},
): void =>
  json(response, status, {
    type: `urn:cortex:problem:${code}`,
    title: code,
    status,
    detail: `it is ${code}`,
    code,
    request_id: "req-1",
    retryable: false,
    ...more,
  });

const bodyOf = async (request: IncomingMessage): Promise<string> => {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  return Buffer.concat(parts).toString("utf8");
};
