import { Worker } from "node:worker_threads";
import { ToolFailure } from "../errors.ts";
import { createPlaces } from "../thread-places.ts";
import type { PageText } from "./page-markdown.ts";

/** Turns a page's HTML into markdown. */
export type PageReader = (page: { html: string; url: string }, signal: AbortSignal) => Promise<PageText>;

/** What the thread answers. A page that is too much for it ends the thread and has no answer. */
export type ThreadAnswer = { ok: true; page: PageText } | { ok: false };

export interface PageReaderOptions {
  /** Threads at once; the rest waits. Default 2: they take a processor each from runs that only wait. */
  maxThreads?: number;
  /** Of one page. Default 15 s. */
  maxMs?: number;
}

/** An honest page of 2 MB takes some 150 MB at its height; a hostile one ends its thread here, not the worker. Megabytes. */
const threadMemory = { maxOldGenerationSizeMb: 384, maxYoungGenerationSizeMb: 64, stackSizeMb: 4 };

const readInThread = (page: { html: string; url: string }, maxMs: number, signal: AbortSignal): Promise<PageText> =>
  new Promise((resolve, reject) => {
    const thread = new Worker(new URL("./page-thread.ts", import.meta.url), {
      workerData: page,
      resourceLimits: threadMemory,
      // Nothing of ours is in there.
      env: {},
    });
    const settle = (act: () => void) => {
      clearTimeout(timer);
      signal.removeEventListener("abort", leave);
      // Whatever it still does is not worth waiting for.
      thread.terminate().catch(() => undefined);
      act();
    };
    const refuse = (message: string, cause?: unknown) =>
      settle(() => reject(new ToolFailure(message, cause === undefined ? {} : { cause })));
    const leave = () => settle(() => reject(signal.reason as Error));
    const timer = setTimeout(() => refuse("The page is too complicated to be read: it took too long."), maxMs);
    signal.addEventListener("abort", leave, { once: true });
    thread.once("message", (answer: ThreadAnswer) => {
      if (answer.ok) settle(() => resolve(answer.page));
      else refuse("The page is too complicated to be read.");
    });
    // Out of memory, mostly.
    thread.once("error", (error) => refuse("The page is too complicated to be read.", error));
  });

/**
 * Reads pages in threads: parsing takes hundreds of milliseconds of a large page and without an end of a hostile one, and the event loop has
 * leases to renew meanwhile. A thread lives for one page.
 */
export const createPageReader = ({ maxThreads = 2, maxMs = 15_000 }: PageReaderOptions = {}): PageReader => {
  const inPlace = createPlaces(maxThreads);
  return (page, signal) => inPlace(signal, () => readInThread(page, maxMs, signal));
};
