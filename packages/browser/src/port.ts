/**
 * What the rest of the house knows of a browser: one per run, started by the first call that needs it. Tools get `OpenBrowser` and see nothing
 * else of this package. Everything that a page says was written by a stranger.
 */

/** The page that the model is looking at. */
export interface PageView {
  url: string;
  title: string;
  /** Roles, names and states of what is on the page, indented; `[ref=e12]` names an element for `act`. At most `maxSnapshotChars`. */
  snapshot: string;
  /** What happened since the last look: dialogs that were dismissed, pages that opened, downloads that were refused, errors of the page. */
  notes: string[];
}

export type BrowserAction =
  | { kind: "click"; ref: string; double?: boolean }
  | { kind: "hover"; ref: string }
  /** Replaces what stands in a field; `submit` presses Enter behind it. */
  | { kind: "type"; ref: string; text: string; submit?: boolean }
  /** A key or a chord (`Enter`, `Control+a`), in an element or wherever the focus is. */
  | { kind: "press"; key: string; ref: string | null }
  /** Options of a list, by value or label. */
  | { kind: "select"; ref: string; values: readonly string[] }
  /** An element into view, or the page by most of a screen. */
  | { kind: "scroll"; ref: string | null; direction: "up" | "down" }
  | { kind: "back" }
  | { kind: "forward" };

export interface ExtractInput {
  /** `text`: as it is read; `links`: text and address of each; `snapshot`: as in `PageView`, all of it. */
  what: "text" | "links" | "snapshot";
  /** First character. */
  offset: number;
  /** Characters at most. */
  maxChars: number;
}

export interface Extract {
  url: string;
  title: string;
  text: string;
  /** Characters behind `text`; 0 at the end. */
  rest: number;
  notes: string[];
}

export interface Screenshot {
  url: string;
  title: string;
  bytes: Uint8Array;
  mediaType: "image/png" | "image/jpeg";
  notes: string[];
}

/**
 * The browser of one run. All methods throw AppError: `conflict` without an open page or when something is missing, `not_found` for an element
 * that is not there, `validation_failed` for an address that is not opened here, and `unavailable` where nobody knows what was done, because the
 * browser or the page broke meanwhile. An abort throws the signal's reason.
 */
export interface AgentBrowser {
  navigate(url: string, signal: AbortSignal): Promise<PageView>;
  act(action: BrowserAction, signal: AbortSignal): Promise<PageView>;
  extract(input: ExtractInput, signal: AbortSignal): Promise<Extract>;
  /** @param input.fullPage all of the page, down to `maxPageHeight`; otherwise what is in view */
  screenshot(input: { type: "png" | "jpeg"; fullPage: boolean }, signal: AbortSignal): Promise<Screenshot>;
}

/** Answers the run's browser. Starts nothing: its first `navigate` does. */
export type OpenBrowser = () => Promise<AgentBrowser>;
