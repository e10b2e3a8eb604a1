/** How text looks on this terminal: nothing but text where colours are off or nobody looks. */
export type Style = {
  dim: (text: string) => string;
  bold: (text: string) => string;
  red: (text: string) => string;
  green: (text: string) => string;
};

const wrap =
  (open: number, close: number) =>
  (text: string): string =>
    `\x1b[${open}m${text}\x1b[${close}m`;

const plain = (text: string): string => text;

/** Colours for a terminal, unless NO_COLOR is set (no-color.org). */
export function chooseStyle(input: { isTerminal: boolean; noColor: string | undefined }): Style {
  if (!input.isTerminal || (input.noColor ?? "") !== "") return { dim: plain, bold: plain, red: plain, green: plain };
  return { dim: wrap(2, 22), bold: wrap(1, 22), red: wrap(31, 39), green: wrap(32, 39) };
}

/**
 * Text of models and tools without what would steer the terminal: an escape sequence in an answer could rewrite the
 * screen or the clipboard. Line ends and tabs stay.
 */
export function harmless(text: string): string {
  // oxlint-disable-next-line no-control-regex -- control characters are the point
  return text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g, "");
}

/** "0.31 s", "12 ms" */
export function duration(ms: number): string {
  return ms < 100 ? `${Math.round(ms)} ms` : `${(ms / 1_000).toFixed(2)} s`;
}
