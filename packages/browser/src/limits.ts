/** Pages of one browser at once. What opens beyond is closed. */
export const maxPages = 4;

/** Pixels. Wide enough that pages show what they show on a desk. */
export const viewport = { width: 1280, height: 800 };

/** Pixels of a whole page's picture; what is below is left out. */
export const maxPageHeight = 8_000;

/** Characters of a snapshot beside an action; the rest is for `extract`. */
export const maxSnapshotChars = 20_000;

/**
 * Bytes of one message from the browser. Larger than any picture and any snapshot that is asked for; the browser may be played by somebody hostile, and
 * what it says is held in our memory.
 */
export const maxMessageBytes = 32 * 1024 * 1024;

/** From the start of its process to its first word, on a machine that swaps. */
export const startMs = 60_000;

/** startMs + navigateMs + settleMs + 2 × answerMs + hangMs < 150 s, the time limit of the tools: what hung is said before the tool is cut off. */
export const navigateMs = 30_000;
/** How long a page may go on loading after it has something to show. */
export const settleMs = 5_000;
/** A page that does not answer a question by then hangs. */
export const answerMs = 12_000;
export const defaultPatience = {
  /** A click waits so long for its element to be there, visible and still. */
  actMs: 10_000,
  /** What failed in a page for no reason that is known is asked so long whether it is there at all. */
  hangMs: 5_000,
};
