/**
 * Tool calls inside text. One call:
 *
 *     <call-k7q2 name="create_file">
 *     <arg-k7q2 name="path">notes.md</arg-k7q2>
 *     <arg-k7q2 name="content">
 *     any text, line by line
 *     </arg-k7q2>
 *     </call-k7q2>
 *
 * `k7q2` is the mark of the run. Text that does not know it (a page that the model quotes, a file about tool calls) can neither begin nor end
 * anything, so nothing has to be escaped. A value that holds its own closing tag has a longer mark in both of its tags: `<arg-k7q2-2 …>` ends
 * at `</arg-k7q2-2>` and nowhere else. A value that begins with a line break also ends with one, and neither belongs to it.
 */
export interface XmlTags {
  /** `<call-k7q2`, to be followed by attributes and `>`. */
  openCall: string;
  closeCall: string;
  openArg: string;
  openResult: string;
  /** @param suffix what makes the mark longer, empty or `-…` */
  closeArg(suffix: string): string;
  closeResult(suffix: string): string;
}

const markPattern = /^[a-z0-9]{4,32}$/;

/** @throws TypeError for a mark that could be mistaken for something else */
export const xmlTags = (mark: string): XmlTags => {
  if (!markPattern.test(mark)) throw new TypeError(`"${mark}" is no mark`);
  return {
    openCall: `<call-${mark}`,
    closeCall: `</call-${mark}>`,
    openArg: `<arg-${mark}`,
    openResult: `<result-${mark}`,
    closeArg: (suffix) => `</arg-${mark}${suffix}>`,
    closeResult: (suffix) => `</result-${mark}${suffix}>`,
  };
};

/** The shortest of ``, `-2`, `-3`, … whose closing tag the text does not hold. Linear, whatever the text holds. */
export const freeSuffix = (text: string, close: (suffix: string) => string): string => {
  const stem = close("").slice(0, -1);
  const taken = new Set<string>();
  for (let at = text.indexOf(stem); at !== -1; at = text.indexOf(stem, at + stem.length)) {
    // No suffix of ours is longer: a text of this length cannot hold more look-alikes.
    const rest = text.slice(at + stem.length, at + stem.length + 12);
    const end = rest.indexOf(">");
    if (end !== -1) taken.add(rest.slice(0, end));
  }
  if (!taken.has("")) return "";
  for (let n = 2; ; n += 1) if (!taken.has(`-${n}`)) return `-${n}`;
};

/** A name inside double quotes. */
export const attribute = (text: string): string =>
  text.replace(/[&"<>\p{Cc}]/gu, (character) => `&#${character.codePointAt(0)};`);

const entities: Readonly<Record<string, string>> = { amp: "&", quot: '"', apos: "'", lt: "<", gt: ">" };

const plain = (text: string): string =>
  text.replace(/&(?:#(\d{1,7})|([a-z]{2,4}));/g, (whole, code: string | undefined, name: string | undefined) => {
    if (name !== undefined) return entities[name] ?? whole;
    const point = Number(code);
    return point <= 0x10ffff ? String.fromCodePoint(point) : whole;
  });

/** The attributes of an opening tag, from the text between its name and its `>`; null for anything else than attributes. */
export const readAttributes = (text: string): Map<string, string> | null => {
  const found = new Map<string, string>();
  const pattern = /\s+([a-z]+)\s*=\s*(?:"([^"]*)"|'([^']*)')/y;
  let at = 0;
  for (let match = pattern.exec(text); match; match = pattern.exec(text)) {
    found.set(match[1] ?? "", plain(match[2] ?? match[3] ?? ""));
    at = pattern.lastIndex;
  }
  return text.slice(at).trim() === "" ? found : null;
};

/** Text between two tags. */
export const enclosed = (text: string): string => (/[\r\n]/.test(text) ? `\n${text}\n` : text);
