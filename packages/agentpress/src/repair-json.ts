/** The text inside a code fence that encloses all of it, or null. */
const unfenced = (text: string): string | null => {
  const whole = text.trim();
  const firstLine = whole.indexOf("\n");
  if (firstLine === -1 || !whole.endsWith("```") || !/^```(json)?\s*$/i.test(whole.slice(0, firstLine))) return null;
  return whole.slice(firstLine + 1, -3);
};

/** Control characters that belong into a string only as escapes. */
const isControl = (character: string): boolean => character < " ";

const escaped = (character: string): string => JSON.stringify(character).slice(1, -1);

/** Is the comma at `at` followed by the end of its list or object? */
const endsList = (text: string, at: number): boolean => {
  let next = at + 1;
  while (next < text.length && /\s/.test(text.charAt(next))) next += 1;
  return text[next] === "}" || text[next] === "]";
};

/**
 * JSON with those slips of models put right that can mean only one thing: a code fence around it, raw line breaks (and other control
 * characters) and `\'` inside strings, a comma before a closing bracket. Nothing is ever added that would complete a text that breaks off, no
 * quotation mark, bracket or value: what was cut must stay unreadable, because it may not run. The result need not be JSON. Linear.
 */
export const repairJson = (given: string): string => {
  const text = unfenced(given) ?? given;
  const pieces: string[] = [];
  let inString = false;
  let from = 0;
  const replace = (at: number, length: number, by: string) => {
    pieces.push(text.slice(from, at), by);
    from = at + length;
  };
  for (let at = 0; at < text.length; at += 1) {
    const character = text.charAt(at);
    if (!inString) {
      if (character === '"') inString = true;
      else if (character === "," && endsList(text, at)) replace(at, 1, "");
    } else if (character === "\\") {
      if (text[at + 1] === "'") replace(at, 2, "'");
      at += 1;
    } else if (character === '"') inString = false;
    else if (isControl(character)) replace(at, 1, escaped(character));
  }
  pieces.push(text.slice(from));
  return pieces.join("");
};
