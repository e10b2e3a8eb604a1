import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { responseHeaders } from "./headers.ts";
import { joinStreams } from "./join-streams.ts";
import { pageHeaders, pageOf, type PreviewProblem } from "./refusal-page.ts";
import { idleMs } from "./tunnel-protocol.ts";
import { openVisit, type PreviewEdgeDeps, VisitRefused } from "./visit.ts";

const headText = (status: number, headers: readonly string[]): string => {
  const lines = [`HTTP/1.1 ${status} ${status === 101 ? "Switching Protocols" : "Refused"}`];
  for (let at = 0; at + 1 < headers.length; at += 2) lines.push(`${headers[at]}: ${headers[at + 1]}`);
  return `${lines.join("\r\n")}\r\n\r\n`;
};

const answer = (socket: Duplex, problem: PreviewProblem): void => {
  const page = pageOf(problem);
  socket.end(headText(page.status, Object.entries(pageHeaders(page)).flat()) + page.body);
};

/** Hands a WebSocket on; from the handshake on its bytes are nobody's business here. Never throws. */
export const forwardUpgrade = async (
  deps: PreviewEdgeDeps,
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
): Promise<void> => {
  socket.on("error", () => socket.destroy());
  // Nothing more is said to the visitor: whether the visitor closes, too, must not matter.
  socket.once("finish", () => socket.destroy());
  try {
    const { tunnel, outgoing, leftMs } = await openVisit(deps, request, true);
    let settled = false;
    const stop = (problem: PreviewProblem): void => {
      if (!settled && !socket.destroyed) answer(socket, problem);
      settled = true;
      tunnel.destroy();
    };
    tunnel.setTimeout(idleMs, () => stop("silent"));
    socket.once("close", () => tunnel.destroy());
    outgoing.on("error", () => stop("broken"));
    outgoing.once("upgrade", (incoming, _tunnel, first) => {
      settled = true;
      if (incoming.headers.upgrade?.toLowerCase() !== "websocket") {
        socket.destroy();
        return;
      }
      const headers = [...responseHeaders(incoming), "Connection", "Upgrade", "Upgrade", "websocket"];
      socket.write(headText(101, headers), "latin1");
      socket.write(first);
      tunnel.write(head);
      joinStreams(socket, tunnel, { idleMs, totalMs: leftMs });
    });
    outgoing.once("response", (incoming) => {
      settled = true;
      socket.write(
        headText(incoming.statusCode ?? 502, [...responseHeaders(incoming), "Connection", "close"]),
        "latin1",
      );
      // Ends with the connection, so that it needs no length of its own.
      incoming.pipe(socket);
    });
    if (socket.destroyed) tunnel.destroy();
    else outgoing.end();
  } catch (error) {
    if (!(error instanceof VisitRefused)) deps.log.error({ err: error }, "a visit to a preview failed");
    answer(socket, error instanceof VisitRefused ? error.problem : "not_shown");
  }
};
