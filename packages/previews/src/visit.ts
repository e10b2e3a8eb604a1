import { type ClientRequest, type IncomingMessage, request as httpRequest } from "node:http";
import type { Socket } from "node:net";
import type { Logger } from "@cortex/observability";
import { requestHeaders } from "./headers.ts";
import type { PreviewedPort, PreviewLinks } from "./link.ts";
import { openTunnel, type PreviewHolder } from "./open-tunnel.ts";
import { type PreviewProblem, problemOf } from "./refusal-page.ts";
import { TunnelRefused } from "./tunnel-protocol.ts";

export interface PreviewEdgeDeps {
  secret: string;
  links: PreviewLinks;
  /** Who signs the tokens of our API: those are not handed on. */
  issuer: string;
  /** Who shows this port at the moment. Null: nobody. */
  findHolder(target: PreviewedPort): Promise<PreviewHolder | null>;
  log: Logger;
}

/** Headers of an answer: more than most servers ever send. */
const maxHeaderBytes = 32_768;

/** A request has got no further. */
export class VisitRefused extends Error {
  override readonly name = "VisitRefused";
  readonly problem: PreviewProblem;

  constructor(problem: PreviewProblem) {
    super(`no preview: ${problem}`);
    this.problem = problem;
  }
}

/** A request that two readers could understand differently is none. The parser refuses the rest: two lengths, a length and chunks, stray line ends. */
const isPlain = (request: IncomingMessage, upgrade: boolean): boolean => {
  const { headersDistinct, method, url = "" } = request;
  const encoding = request.headers["transfer-encoding"];
  const hasBody = encoding !== undefined || (request.headers["content-length"] ?? "0") !== "0";
  return (
    request.httpVersion === "1.1" &&
    url.startsWith("/") &&
    headersDistinct["host"]?.length === 1 &&
    (headersDistinct["content-length"]?.length ?? 0) <= 1 &&
    method !== "TRACE" &&
    (encoding === undefined || encoding.toLowerCase() === "chunked") &&
    (!upgrade || (method === "GET" && !hasBody))
  );
};

export interface Visit {
  tunnel: Socket;
  /** Not sent before it is ended or piped to. */
  outgoing: ClientRequest;
  /** Milliseconds until the link is over. */
  leftMs: number;
}

/**
 * From a request to the same request at the sandbox's port: each goes through a connection of its own, so none can be taken for the beginning of another.
 * @throws VisitRefused
 */
export const openVisit = async (deps: PreviewEdgeDeps, request: IncomingMessage, upgrade: boolean): Promise<Visit> => {
  const link = deps.links.read(request.headers.host ?? "");
  if (link.kind !== "link") throw new VisitRefused(link.kind === "expired" ? "expired" : "no_link");
  if (!isPlain(request, upgrade)) throw new VisitRefused("bad_request");
  const target = { sandboxId: link.sandboxId, port: link.port };
  const holder = await deps.findHolder(target);
  if (holder === null) throw new VisitRefused("not_shown");
  const tunnel = await openTunnel(deps.secret, holder, target).catch((error: unknown) => {
    if (!(error instanceof TunnelRefused)) throw error;
    if (error.reason === "forbidden") deps.log.warn(target, "a worker refuses our signature: secrets or clocks differ");
    throw new VisitRefused(problemOf(error.reason));
  });
  try {
    const outgoing = httpRequest({
      createConnection: () => tunnel,
      method: request.method,
      path: request.url,
      headers: requestHeaders(request, { site: deps.links.site, issuer: deps.issuer, upgrade }),
      maxHeaderSize: maxHeaderBytes,
    });
    return { tunnel, outgoing, leftMs: link.expiresAt.getTime() - Date.now() };
  } catch {
    // A target or a header that the parser lets through and the writer does not.
    tunnel.destroy();
    throw new VisitRefused("bad_request");
  }
};
