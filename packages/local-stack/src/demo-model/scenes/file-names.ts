/** A path inside a sentence: in quotes or ticks, or one word with an extension. */
const QUOTED_PATH = /[`"'“”]([\w./ -]*[\w-]\.[A-Za-z]\w{0,9})[`"'“”]/;
const BARE_PATH = /(?:^|[\s:([])((?:[\w.-]*\/)*[\w-][\w.-]*\.[A-Za-z]\w{0,9})(?=$|[\s,;:!?)\]]|\.(?:\s|$))/;
/** The line that the platform adds to a prompt for each uploaded file. */
const UPLOADED = /\[Uploaded File: ([^\]]+)\]/;
const NAMED = /\b(?:file|called|named)\s+[`"'“]?([\w-][\w./-]*[\w-]|\/[\w./-]*[\w-])[`"'”]?/i;
/** What may follow "file" without being its name: "a file with …", "the file and show it". */
const NOT_A_NAME =
  /^(?:and|with|containing|that|which|in|to|for|is|of|from|then|please|show|called|named|saying|content|contents)$/i;

/** The path a prompt speaks of, or null. */
export function findPath(prompt: string): string | null {
  const uploaded = UPLOADED.exec(prompt)?.[1];
  if (uploaded !== undefined) return uploaded.trim();
  const written = QUOTED_PATH.exec(prompt)?.[1] ?? BARE_PATH.exec(prompt)?.[1];
  if (written !== undefined) return written;
  const named = NAMED.exec(prompt)?.[1];
  return named !== undefined && !NOT_A_NAME.test(named) ? named : null;
}

/** The first file in the listing that a tool gave back: JSON entries or lines, folders left out. Null if it shows none. */
export function firstListedFile(listing: string): string | null {
  for (const [, name] of listing.matchAll(/"(?:path|name)"\s*:\s*"([^"]+)"/g)) {
    if (name !== undefined && /\.\w+$/.test(name)) return name;
  }
  for (const line of listing.split("\n")) {
    const path = /(?:^|\s)((?:[\w.-]*\/)*[\w-][\w.-]*\.[A-Za-z]\w{0,9})(?:\s|$)/.exec(line)?.[1];
    if (path !== undefined) return path;
  }
  return null;
}
