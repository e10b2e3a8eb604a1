import type { IncomingMessage, ServerResponse } from "node:http";
import { responseHeaders } from "./headers.ts";
import { pageHeaders, pageOf, type PreviewProblem } from "./refusal-page.ts";
import { idleMs } from "./tunnel-protocol.ts";
import { openVisit, type PreviewEdgeDeps, VisitRefused } from "./visit.ts";

/** One request with its answer, however slowly either comes; also a stream of events, whose readers come back. */
const exchangeMs = 30 * 60_000;

const answer = (response: ServerResponse, problem: PreviewProblem): void => {
  if (response.headersSent || response.destroyed) {
    // Half an answer must not look like a whole one.
    response.destroy();
    return;
  }
  const page = pageOf(problem);
  response.writeHead(page.status, pageHeaders(page)).end(page.body);
};

/** Hands a request on and its answer back, both as they come. Never throws: the visitor gets a page instead. */
export const forwardRequest = async (
  deps: PreviewEdgeDeps,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> => {
  try {
    const { tunnel, outgoing, leftMs } = await openVisit(deps, request, false);
    const stop = (problem: PreviewProblem): void => {
      answer(response, problem);
      tunnel.destroy();
    };
    const timer = setTimeout(() => stop("silent"), Math.min(exchangeMs, leftMs));
    tunnel.setTimeout(idleMs, () => stop("silent"));
    // Also when the visitor leaves.
    response.once("close", () => {
      clearTimeout(timer);
      tunnel.destroy();
    });
    // A visitor who leaves in the middle of anything.
    request.on("error", () => tunnel.destroy());
    response.on("error", () => tunnel.destroy());
    outgoing.on("error", () => stop("broken"));
    outgoing.once("response", (incoming) => {
      incoming.once("close", () => {
        if (!incoming.complete) response.destroy();
      });
      try {
        // Half a request is still under way: it must not be read as the next one.
        if (!request.complete) response.shouldKeepAlive = false;
        response.writeHead(incoming.statusCode ?? 502, responseHeaders(incoming));
        response.flushHeaders();
        incoming.pipe(response);
      } catch (error) {
        deps.log.debug({ err: error }, "an answer of a preview cannot be handed on");
        stop("broken");
      }
    });
    if (response.destroyed) tunnel.destroy();
    else request.pipe(outgoing);
  } catch (error) {
    if (!(error instanceof VisitRefused)) deps.log.error({ err: error }, "a visit to a preview failed");
    answer(response, error instanceof VisitRefused ? error.problem : "not_shown");
  }
};
