import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { text } from "node:stream/consumers";

export interface PlayedWeb {
  port: number;
  /** `http://127.0.0.1:<port>` */
  origin: string;
  requests: { method: string; url: URL; headers: IncomingMessage["headers"]; body: string }[];
  /** How the next requests are answered, in order; the last one stays. */
  answer(...answers: ((response: ServerResponse) => void)[]): void;
  close(): Promise<void>;
}

/** A server on this machine that plays a search vendor or a site. It answers as it is told and remembers what it was asked. */
export const playWeb = async (): Promise<PlayedWeb> => {
  const requests: PlayedWeb["requests"] = [];
  let answers: ((response: ServerResponse) => void)[] = [];
  const server = createServer(async (request, response) => {
    const body = await text(request);
    const url = new URL(request.url ?? "", "http://played");
    requests.push({ method: request.method ?? "", url, headers: request.headers, body });
    const [next] = answers;
    if (answers.length > 1) answers.shift();
    if (next) next(response);
    else response.writeHead(500).end("nobody has said what to answer");
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  const address = server.address();
  const port = address !== null && typeof address === "object" ? address.port : 0;
  return {
    port,
    origin: `http://127.0.0.1:${port}`,
    requests,
    answer: (...next) => {
      answers = next;
    },
    close: async () => {
      const closed = new Promise<void>((resolve) => {
        server.close(() => resolve());
      });
      server.closeAllConnections();
      await closed;
    },
  };
};

export const json =
  (status: number, body: unknown, headers: Record<string, string> = {}) =>
  (response: ServerResponse): void => {
    response.writeHead(status, { "content-type": "application/json", ...headers }).end(JSON.stringify(body));
  };

export const content =
  (type: string, body: string | Uint8Array, status = 200) =>
  (response: ServerResponse): void => {
    response.writeHead(status, type === "" ? {} : { "content-type": type }).end(body);
  };
