import { createServer } from "node:http";
import { getRequestListener, type HttpBindings, RequestError } from "@hono/node-server";
import type { Logger } from "@cortex/observability";
import { RESPONSE_ALREADY_SENT } from "@hono/node-server/utils/response";
import { AppError } from "@cortex/contracts";
import { toProblem } from "./error-response.ts";
import type { Api } from "./request-context.ts";

/** A proxy must not send a request into a connection that we are just closing: ours stay open longer than theirs (usually 60 s). */
const keepAliveMs = 75_000;
/** A client that dawdles over its head or its (at most 1 MB) body holds a socket no longer than this. */
const headersMs = 15_000;
const requestMs = 60_000;

export interface RunningServer {
  port: number;
  /** Takes no more connections, waits for the answers under way, then closes. Streams are ended by whoever aborts their signal. */
  close(): Promise<void>;
}

/** Serves the application. Rejects if the address cannot be had. */
export const listen = async (input: { app: Api; host: string; port: number; log: Logger }): Promise<RunningServer> => {
  const { app, log } = input;
  const fetchCallback = async (request: Request, env: HttpBindings): Promise<Response> => {
    const response = await app.fetch(request, env);
    // A stream writes its own head; whatever the framework made of its return value must not be written after it.
    return env.outgoing.headersSent ? RESPONSE_ALREADY_SENT : response;
  };
  const listener = getRequestListener((request, env) => fetchCallback(request, env as HttpBindings), {
    // Comes here: a request that is none (a malformed address or Host), and what the application could not even catch.
    errorHandler: (error) => {
      const malformed = error instanceof RequestError;
      if (!malformed) log.error({ err: error }, "a request failed outside of the application");
      const code = malformed ? "not_found" : "internal";
      const detail = malformed ? "There is nothing at this address." : "Something went wrong on our side.";
      const problem = toProblem(new AppError(code, detail), crypto.randomUUID());
      return new Response(JSON.stringify(problem), {
        status: problem.status,
        headers: { "content-type": "application/problem+json", "x-request-id": problem.request_id },
      });
    },
  });
  const server = createServer(
    { keepAliveTimeout: keepAliveMs, headersTimeout: headersMs, requestTimeout: requestMs },
    (incoming, outgoing) => void listener(incoming, outgoing),
  );
  let underWay = 0;
  let closing = false;
  // A browser keeps connections that have never asked anything; the server's own idea of an idle one leaves them out.
  const leaveNoneOpen = (): void => {
    if (closing && underWay === 0) server.closeAllConnections();
  };
  server.on("request", (_incoming, outgoing) => {
    underWay += 1;
    outgoing.once("close", () => {
      underWay -= 1;
      leaveNoneOpen();
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(input.port, input.host, () => {
      server.off("error", reject);
      resolve();
    });
  });
  const address = server.address();
  return {
    port: address !== null && typeof address === "object" ? address.port : input.port,
    close: () =>
      new Promise((resolve, reject) => {
        closing = true;
        server.close((error) => (error ? reject(error) : resolve()));
        leaveNoneOpen();
      }),
  };
};
