/** A path inside a sentence: in quotes or ticks, or one word with an extension. */
const QUOTED_PATH = /[`"'“”]([\w./ -]*[\w-]\.[A-Za-z]\w{0,9})[`"'“”]/;
const BARE_PATH = /(?:^|[\s:([])((?:[\w.-]*\/)*[\w-][\w.-]*\.[A-Za-z]\w{0,9})(?=$|[\s,;:!?)\]]|\.(?:\s|$))/;
/** The lines that the platform adds to a prompt for each attached file. */
const ATTACHED = [/\[Uploaded File: ([^\]]+)\]/, /\[File "[^"]*" at (.+?)(?:, \d+ bytes)?\]/];
const NAMED = /\b(?:file|called|named)\s+[`"'“]?([\w-][\w./-]*[\w-]|\/[\w./-]*[\w-])[`"'”]?/i;
/** What may follow "file" without being its name: "a file with …", "the file and show it". */
const NOT_A_NAME =
  /^(?:and|with|containing|that|which|in|to|for|is|of|from|then|please|show|called|named|saying|content|contents)$/i;

/** The path a prompt speaks of, or null. */
export function findPath(prompt: string): string | null {
  for (const pattern of ATTACHED) {
    const attached = pattern.exec(prompt)?.[1];
    if (attached !== undefined) return attached.trim();
  }
  const written = QUOTED_PATH.exec(prompt)?.[1] ?? BARE_PATH.exec(prompt)?.[1];
  if (written !== undefined) return written;
  const named = NAMED.exec(prompt)?.[1];
  return named !== undefined && !NOT_A_NAME.test(named) ? named : null;
}

/**
 * The file in the listing of a tool that is most likely meant: one below an upload folder, else the first. Entries may be JSON or
 * lines (`path<tab>size`, or columns); folders are left out. Null if it shows no file.
 */
export function firstListedFile(listing: string): string | null {
  const files = [...jsonEntries(listing), ...lineEntries(listing)];
  return files.find((path) => /(?:^|\/)uploads?\//.test(path)) ?? files[0] ?? null;
}

function jsonEntries(listing: string): string[] {
  const names = Array.from(listing.matchAll(/"(?:path|name)"\s*:\s*"([^"]+)"/g), ([, name]) => name ?? "");
  return names.filter((name) => /\.\w+$/.test(name));
}

function lineEntries(listing: string): string[] {
  return listing.split("\n").flatMap((line) => {
    const [path = "", size] = line.split("\t");
    if (size !== undefined) return path.endsWith("/") ? [] : [path];
    return /(?:^|\s)((?:[\w.-]*\/)*[\w-][\w.-]*\.[A-Za-z]\w{0,9})(?:\s|$)/.exec(line)?.[1] ?? [];
  });
}
