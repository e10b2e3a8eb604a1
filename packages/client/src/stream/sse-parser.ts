/** One event of a stream of server-sent events. */
export interface SseFrame {
  /** Of this very frame; null if it has none. (An EventSource would repeat the id of the frame before.) */
  id: string | null;
  /** `message` unless the frame names another. */
  event: string;
  data: string;
}

export interface SseParser {
  /** The frames that are complete with this piece of the stream. Pieces may end anywhere, between CR and LF too. */
  push(text: string): SseFrame[];
  /** The last `retry:` of the stream, in milliseconds. */
  retryMs(): number | null;
}

/**
 * Reads `text/event-stream` as the HTML standard (9.2.6) says: lines end in LF, CR or CRLF, an empty line completes a frame, a frame without
 * `data` is none, and what is left when the stream breaks off is dropped: a cut frame is never mistaken for a whole one. Bytes become text outside
 * (`TextDecoder` in stream mode, which also takes away a byte order mark).
 */
export const createSseParser = (): SseParser => {
  /** The begun line. Only ever appended to, so that a long line in many pieces costs its length and not its square. */
  let line = "";
  /** The last piece ended in CR: a LF at the start of the next belongs to it. */
  let skipLineFeed = false;
  let id: string | null = null;
  let event = "";
  let data: string[] = [];
  let retry: number | null = null;

  const complete = (frames: SseFrame[]): void => {
    if (data.length > 0) {
      frames.push({
        id,
        event: event === "" ? "message" : event,
        data: data.length === 1 ? (data[0] ?? "") : data.join("\n"),
      });
    }
    id = null;
    event = "";
    data = [];
  };

  const field = (whole: string): void => {
    const colon = whole.indexOf(":");
    if (colon === 0) return; // a comment: the heartbeat
    const name = colon < 0 ? whole : whole.slice(0, colon);
    const value = colon < 0 ? "" : whole.slice(whole[colon + 1] === " " ? colon + 2 : colon + 1);
    if (name === "data") data.push(value);
    else if (name === "id" && !value.includes("\0")) id = value;
    else if (name === "event") event = value;
    else if (name === "retry" && /^\d{1,9}$/.test(value)) retry = Number(value);
  };

  const push = (text: string): SseFrame[] => {
    const frames: SseFrame[] = [];
    if (text === "") return frames;
    let from = skipLineFeed && text[0] === "\n" ? 1 : 0;
    skipLineFeed = false;
    let lineFeed = text.indexOf("\n", from);
    let carriage = text.indexOf("\r", from);
    while (lineFeed >= 0 || carriage >= 0) {
      const isCarriage = carriage >= 0 && (lineFeed < 0 || carriage < lineFeed);
      const end = isCarriage ? carriage : lineFeed;
      line += text.slice(from, end);
      if (line === "") complete(frames);
      else field(line);
      line = "";
      from = end + 1;
      if (isCarriage) {
        if (from === text.length) skipLineFeed = true;
        else if (text[from] === "\n") from += 1;
      }
      // Looked for again only when passed: a text without any CR is searched for one once, not once per line.
      if (lineFeed >= 0 && lineFeed < from) lineFeed = text.indexOf("\n", from);
      if (carriage >= 0 && carriage < from) carriage = text.indexOf("\r", from);
    }
    line += text.slice(from);
    return frames;
  };

  return { push, retryMs: () => retry };
};
