/**
 * Text and JSON that Postgres can keep. `jsonb` and `text` refuse U+0000, `jsonb` refuses half a surrogate pair; a model or a program
 * may produce both. What is executed must be what is recorded, so this happens before anything else looks at a value.
 */
const unstorable = /\u0000/g; // oxlint-disable-line no-control-regex -- the character that Postgres refuses

/** The text with U+FFFD in the place of what cannot be stored. Returns the same string when there is nothing to replace. */
export const storableText = (text: string): string => {
  const wellFormed = text.isWellFormed() ? text : text.toWellFormed();
  return wellFormed.includes("\u0000") ? wellFormed.replace(unstorable, "\uFFFD") : wellFormed;
};

export type Json = string | number | boolean | null | Json[] | { [key: string]: Json };

/** The same for every key and string of a JSON value. The caller has bounded its depth. */
export const storableJson = (value: Json): Json => {
  if (typeof value === "string") return storableText(value);
  if (Array.isArray(value)) return value.map(storableJson);
  if (value !== null && typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([key, entry]) => [storableText(key), storableJson(entry)]));
  }
  return value;
};

/**
 * The same text, in memory of its own. A part of a string, and what is put together from such parts, keeps the whole string alive as long
 * as it lives itself: a result stays in the conversation to the end of its run, and the 10 MB that it was cut from must not.
 */
export const withoutParent = (text: string): string => Buffer.from(text, "utf8").toString("utf8");

/** The first `length` characters, never ending inside a surrogate pair. */
export const headOf = (text: string, length: number): string => {
  const code = text.charCodeAt(length - 1);
  return text.slice(0, code >= 0xd800 && code <= 0xdbff ? length - 1 : length);
};

/** The last `length` characters, never beginning inside a surrogate pair. */
const tailOf = (text: string, length: number): string => {
  const start = text.length - length;
  const code = text.charCodeAt(start);
  return text.slice(code >= 0xdc00 && code <= 0xdfff ? start + 1 : start);
};

/**
 * Text of at most about `maxChars` characters for the model: the head and the tail (errors stand at the end), and between them one
 * line that says how much is missing.
 * @param where the rest is, as a clause
 */
export const shorten = (text: string, maxChars: number, where: string | null = null): string => {
  if (text.length <= maxChars) return text;
  const head = Math.ceil(maxChars * 0.6);
  const tail = maxChars - head;
  const missing = `${text.length - maxChars} characters left out${where === null ? "" : `; ${where}`}`;
  return `${headOf(text, head)}\n[… ${missing} …]\n${tailOf(text, tail)}`;
};
