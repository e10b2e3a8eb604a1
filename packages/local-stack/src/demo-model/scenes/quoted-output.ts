/** Characters of a tool's output that an answer repeats: enough to see it, not a second copy of a big file. */
const MAX_QUOTED = 4_000;

/** Output as a fenced block, whose fence is longer than any inside it. Says so when it is shortened. */
export function quoteOutput(text: string): string {
  const shown = text.length > MAX_QUOTED ? text.slice(0, MAX_QUOTED).replace(/[\uD800-\uDBFF]$/, "") : text;
  const longest = Math.max(2, ...[...shown.matchAll(/`+/g)].map(([ticks]) => ticks.length));
  const fence = "`".repeat(longest + 1);
  const note = shown.length < text.length ? `\n(the first ${shown.length} of ${text.length} characters)` : "";
  return `${fence}\n${shown}${shown.endsWith("\n") ? "" : "\n"}${fence}${note}`;
}

/** A path as one word of a shell command. */
export function shellQuote(path: string): string {
  return /^[\w./-]+$/.test(path) && !path.startsWith("-") ? path : `'${path.replaceAll("'", String.raw`'\''`)}'`;
}
