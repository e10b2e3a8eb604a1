/** What an answer's content is, as far as it can be read as text. */
export type ContentKind = "html" | "text" | "unreadable";

const textTypes =
  /^(?:text\/.*|application\/(?:json|xml|yaml|x-yaml|toml|javascript|x-javascript|ecmascript|x-ndjson|rss|atom|graphql|sql|x-sh)|.*\+(?:json|xml|yaml))$/;

const mediaTypeOf = (contentType: string): string => contentType.split(";")[0]?.trim().toLowerCase() ?? "";

/** Bytes of a file that is no text begin so, whatever the server says of them. */
const isBinary = (bytes: Uint8Array): boolean => {
  const head = Buffer.from(bytes.subarray(0, 1_024));
  const utf16 = (head[0] === 0xff && head[1] === 0xfe) || (head[0] === 0xfe && head[1] === 0xff);
  return !utf16 && (head.includes(0) || head.toString("latin1").startsWith("%PDF-"));
};

const looksLikeHtml = (bytes: Uint8Array): boolean =>
  /^\s*(?:<!--|<!doctype html|<html|<head|<body)/i.test(Buffer.from(bytes.subarray(0, 1_024)).toString("latin1"));

export const kindOf = (contentType: string, bytes: Uint8Array): ContentKind => {
  if (isBinary(bytes)) return "unreadable";
  const type = mediaTypeOf(contentType);
  if (type === "text/html" || type === "application/xhtml+xml") return "html";
  if (type === "" || type === "application/octet-stream") return looksLikeHtml(bytes) ? "html" : "text";
  return textTypes.test(type) ? "text" : "unreadable";
};

/** For people, in a sentence: what it was instead. */
export const nameOf = (contentType: string, bytes: Uint8Array): string => {
  if (Buffer.from(bytes.subarray(0, 5)).toString("latin1") === "%PDF-") return "a PDF";
  const type = mediaTypeOf(contentType);
  return /^[a-z0-9.+-]+\/[a-z0-9.+-]+$/.test(type) ? type.slice(0, 100) : "a file of unknown kind";
};

const charsetIn = (text: string): string | undefined => /charset\s*=\s*["']?\s*([\w-]{1,40})/i.exec(text)?.[1];

/** The text, by its byte order mark, by what the server says, by what the page says, or as UTF-8. Never fails. */
export const decoded = (bytes: Uint8Array, contentType: string): string => {
  const declared =
    charsetIn(contentType) ?? charsetIn(Buffer.from(bytes.subarray(0, 1_024)).toString("latin1")) ?? "utf-8";
  const marked =
    bytes[0] === 0xff && bytes[1] === 0xfe
      ? "utf-16le"
      : bytes[0] === 0xfe && bytes[1] === 0xff
        ? "utf-16be"
        : declared;
  try {
    return new TextDecoder(marked).decode(bytes);
  } catch {
    // A name that nobody knows.
    return new TextDecoder().decode(bytes);
  }
};
