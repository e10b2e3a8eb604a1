/**
 * The text of `[[tokens=n]]`: "w1 w2 … wn". Joined, its chunks are exactly this, so a reader of the stream can prove that it lost
 * and doubled nothing.
 */
export function demoText(tokens: number): string {
  return [...numberedWords(tokens, null)].join("");
}

/** The words of `demoText` one by one, each padded with dots to `size` characters (if longer than the word). */
export function* numberedWords(count: number, size: number | null): Generator<string> {
  for (let index = 1; index <= count; index += 1) {
    const word = index === 1 ? "w1" : ` w${index}`;
    yield size === null ? word : word.padEnd(size, ".");
  }
}

/** Cuts a text into chunks: words with the space before them, or `size` characters each, never through a character. */
export function pieces(text: string, size: number | null): string[] {
  if (text === "") return [];
  if (size === null) return text.match(/\s*\S+|\s+$/g) ?? [text];
  const characters = Array.from(text);
  const chunks: string[] = [];
  for (let at = 0; at < characters.length; at += size) chunks.push(characters.slice(at, at + size).join(""));
  return chunks;
}
