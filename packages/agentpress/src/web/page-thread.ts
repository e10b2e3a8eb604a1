/** The thread of `page-reader.ts`: one page in, one answer out. */
import { parentPort, workerData } from "node:worker_threads";
import { pageMarkdown } from "./page-markdown.ts";
import type { ThreadAnswer } from "./page-reader.ts";

const read = (page: { html: string; url: string }): ThreadAnswer => {
  try {
    return { ok: true, page: pageMarkdown(page) };
  } catch {
    // Elements within elements, deeper than the stack. What is not an answer is told as one sentence on the other side.
    return { ok: false };
  }
};

// oxlint-disable-next-line unicorn/require-post-message-target-origin -- a port of a thread has no origin
parentPort?.postMessage(read(workerData as { html: string; url: string }));
