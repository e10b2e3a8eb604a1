/**
 * The text between the tags of one argument, in pieces as they come. Holds back no more than what may be the end of it: a beginning of its
 * closing tag, and the line break before that.
 */
export interface ValueReader {
  /** Feeds text. `value` is what certainly belongs to the value; `rest` is what stands behind its closing tag, null before that was seen. */
  push(text: string): { value: string; rest: string | null };
}

/** @param close the closing tag: its first character occurs in it once */
export const startValue = (close: string): ValueReader => {
  let held = "";
  /** The line break that the value began with; null before it is known whether it did. */
  let lineBreak: "" | "\n" | "\r\n" | null = null;

  /** Takes the first line break away. False: it cannot be told yet. */
  const begin = (): boolean => {
    if (held === "" || held === "\r") return false;
    lineBreak = held.startsWith("\r\n") ? "\r\n" : held.startsWith("\n") ? "\n" : "";
    held = held.slice(lineBreak.length);
    return true;
  };

  return {
    push: (text) => {
      held += text;
      if (lineBreak === null && !begin()) return { value: "", rest: null };
      const edge = lineBreak ?? "";
      const end = held.indexOf(close);
      if (end !== -1) {
        const rest = held.slice(end + close.length);
        const whole = held.slice(0, end);
        const value = edge !== "" && whole.endsWith(edge) ? whole.slice(0, -edge.length) : whole;
        return { value, rest };
      }
      const bracket = held.lastIndexOf("<");
      let certain = bracket !== -1 && close.startsWith(held.slice(bracket)) ? bracket : held.length;
      if (edge !== "" && held.endsWith("\n", certain)) certain -= 1;
      if (edge === "\r\n" && held.endsWith("\r", certain)) certain -= 1;
      const value = held.slice(0, certain);
      held = held.slice(certain);
      return { value, rest: null };
    },
  };
};
