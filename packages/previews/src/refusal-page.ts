import type { TunnelRefusal } from "./tunnel-protocol.ts";

/** Why a visitor gets nothing of the sandbox's. */
export type PreviewProblem =
  | "no_link"
  | "expired"
  | "bad_request"
  | "not_shown"
  | "nothing_listens"
  | "asleep"
  | "crowded"
  | "broken"
  | "silent";

export interface Page {
  status: number;
  body: string;
}

const texts: Readonly<Record<PreviewProblem, [status: number, title: string, sentence: string]>> = {
  no_link: [404, "No preview here", "There is nothing at this address. Check that the link is complete."],
  expired: [
    410,
    "This link has expired",
    "Links to previews are good for about an hour. Ask for a new one where you got this one.",
  ],
  bad_request: [400, "Bad request", "This request cannot be handed on to a preview."],
  not_shown: [
    503,
    "This preview is not shown at the moment",
    "The computer that ran it has gone. Ask the agent to start the server and to expose the port again.",
  ],
  nothing_listens: [
    502,
    "Nothing answers at this port",
    "The sandbox runs, but no program listens at this port. It may have ended, or may still be starting: try again in a moment.",
  ],
  asleep: [
    503,
    "The sandbox is asleep",
    "It was stopped because nobody worked with it. Ask the agent to start the server again.",
  ],
  crowded: [
    503,
    "Too many visitors",
    "This preview has as many open connections as it may have. Try again in a moment.",
  ],
  broken: [502, "The preview broke off", "The program in the sandbox ended the connection without a proper answer."],
  silent: [
    504,
    "The preview does not answer",
    "The program in the sandbox took the request and then kept silent for too long.",
  ],
};

/** Nothing of a request is ever in it. */
export const pageOf = (problem: PreviewProblem): Page => {
  const [status, title, sentence] = texts[problem];
  const body = `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${title}</title><h1>${title}</h1><p>${sentence}</p></html>\n`;
  return { status, body };
};

export const pageHeaders = (page: Page): Record<string, string> => ({
  "Content-Type": "text/html; charset=utf-8",
  "Content-Length": String(Buffer.byteLength(page.body)),
  "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
  "Cache-Control": "no-store",
  "Referrer-Policy": "no-referrer",
  "X-Robots-Tag": "noindex",
  Connection: "close",
});

const problems: Readonly<Record<TunnelRefusal, PreviewProblem>> = {
  // Secrets or clocks of our own processes differ: to a visitor it is just not there.
  forbidden: "not_shown",
  not_held: "not_shown",
  unreachable: "not_shown",
  nothing_listens: "nothing_listens",
  not_running: "asleep",
  crowded: "crowded",
};

export const problemOf = (refusal: TunnelRefusal): PreviewProblem => problems[refusal];
