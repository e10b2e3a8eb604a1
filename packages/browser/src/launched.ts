import type { Browser, BrowserContextOptions } from "playwright-core";

/** A browser that runs. */
export interface Launched {
  browser: Browser;
  /** What its pages need to be given to have a network. */
  context: Pick<BrowserContextOptions, "proxy">;
  /** May this address be opened? Null, or a sentence why not. */
  refuses(url: URL): string | null;
  /** Said beside an address that could not be reached. */
  networkNote: string;
  /** Resolves with a sentence when it has ended, whoever ended it. */
  ended: Promise<string>;
  /** Ends it with all its processes, and removes what it has written. Never throws. */
  end(): Promise<void>;
}

/** Starts a browser. @throws AppError `conflict` with what is missing, `unavailable` if it does not come up; the signal's reason */
export type Launch = (signal: AbortSignal) => Promise<Launched>;
