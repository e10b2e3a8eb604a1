import { DIRECTIVES, type DirectiveName } from "./directives.ts";
import { invalidRequest } from "./model-error.ts";

/** A directive as it was written: `[[fail=429*2 retry-after=1]]` is `{name: "fail", value: "429*2 retry-after=1"}`. */
export interface WrittenDirective {
  name: DirectiveName;
  value: string | null;
}

/** Directives whose value ends with JSON, which may itself contain `]]`. */
const WITH_JSON = new Set<string>(["tool", "loop"]);

/**
 * Finds the directives of a prompt and gives back the text around them. Double brackets that cannot be meant as a directive
 * (`[[ -f x ]]`, `[[Some page]]`) stay text. A name that looks meant but is unknown is refused: a misspelled fault that
 * is quietly ignored would make a test pass that proves nothing. Throws `ModelError` (400).
 */
export function findDirectives(prompt: string): { found: WrittenDirective[]; rest: string } {
  const found: WrittenDirective[] = [];
  let rest = "";
  let at = 0;
  for (;;) {
    const open = prompt.indexOf("[[", at);
    if (open === -1) break;
    const head = /^\[\[([a-z]+)(?=[=*]|\]\])/.exec(prompt.slice(open, open + 40));
    const name = head?.[1];
    if (name === undefined) {
      rest += prompt.slice(at, open + 2);
      at = open + 2;
      continue;
    }
    const known = knownName(name);
    const valueFrom = open + 2 + name.length;
    const close = closingAt(prompt, valueFrom, known);
    rest += prompt.slice(at, open);
    found.push({ name: known, value: writtenValue(prompt.slice(valueFrom, close)) });
    at = close + 2;
  }
  return { found, rest: (rest + prompt.slice(at)).trim() };
}

function knownName(name: string): DirectiveName {
  if (Object.hasOwn(DIRECTIVES, name)) return name as DirectiveName;
  throw badDirective(`Unknown directive [[${name}]]. Known: ${Object.keys(DIRECTIVES).join(", ")}.`);
}

/** Where the `]]` of this directive stands. After JSON it is the first one that leaves the JSON complete. */
function closingAt(prompt: string, from: number, name: DirectiveName): number {
  const first = prompt.indexOf("]]", from);
  if (first === -1) throw badDirective(`The directive [[${name}…]] is not closed.`);
  if (!WITH_JSON.has(name)) return first;
  for (let close = first; close !== -1; close = prompt.indexOf("]]", close + 1)) {
    const json = splitCall(prompt.slice(from + 1, close)).json;
    if (json === "" || isJson(json)) return close;
  }
  throw badDirective(`The arguments of [[${name}=…]] are not JSON. Write [[${DIRECTIVES[name].usage}]].`);
}

/** `=5` is the value "5", `*2` (a count without a value) is "*2", nothing is null. */
function writtenValue(text: string): string | null {
  if (text === "") return null;
  return text.startsWith("=") ? text.slice(1) : text;
}

/** Splits `list_files {"path":"."}` into the tool's name and its JSON, which may be missing. */
export function splitCall(value: string): { name: string; json: string } {
  const space = value.search(/[\s{]/);
  if (space === -1) return { name: value, json: "" };
  return { name: value.slice(0, space), json: value.slice(space).trim() };
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false; // not yet complete: the next `]]` may close it
  }
}

/** A 400 for a directive that cannot be obeyed. */
export function badDirective(message: string): Error {
  return invalidRequest("messages", message, "invalid_directive");
}
