/**
 * Reads sums out of English: "What is 5 + 10, then multiply by 3?" is the expression `5 + 10` and one more step `* 3`. Nothing is
 * computed here. Words: an *operand* is a number or a group in parentheses as written; a *step* is done to the result before it.
 */
export interface Sum {
  first: string;
  steps: Step[];
}

/** `reversed` puts the earlier result on the right: "subtract it from 100". */
export interface Step {
  operator: string;
  operand: string;
  reversed: boolean;
}

type Token = { kind: "number" | "operator" | "verb" | "open" | "close" | "filler" | "other"; text: string };

const OPERATOR_WORDS: readonly (readonly [RegExp, string])[] = [
  [/^(?:multiplied by|times|[×·]|\*(?!\*)|x(?=\s*[\d(]))/, "*"],
  [/^(?:divided by|over|[/÷])/, "/"],
  [/^(?:to the power of|\*\*|\^)/, "^"],
  [/^(?:modulo|mod|%)/, "%"],
  [/^(?:plus|\+)/, "+"],
  [/^(?:minus|less|[-−–])/, "-"],
];
const VERBS: readonly (readonly [RegExp, string])[] = [
  [/^multiply\b/, "*"],
  [/^divide\b/, "/"],
  [/^raise\b/, "^"],
  [/^add\b/, "+"],
  [/^(?:subtract|take away|deduct)\b/, "-"],
];
const NUMBER = /^(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?/;
/** Words that may stand inside a step without changing it. */
const FILLER =
  /^(?:[,;]|(?:and|then|finally|after that|next|please|now|also|it|that|this|the result|the sum|result|all|everything|what you get|by|to|with)(?![a-z]))/;
/** Signs that the numbers are meant as a sum, and `5-10` not as a range of pages, nor `555-1234` as a telephone. */
const MEANT =
  /what|how much|calculate|compute|evaluate|solve|work out|then|[+*×÷^=]|\s[-−–/%]\s|plus|minus|times|divide|multipl|add|subtract/i;
const DATE = /\d{4}-\d{1,2}-\d{1,2}|\d{1,2}\/\d{1,2}\/\d{2,4}/;

function tokenize(prompt: string): Token[] {
  const tokens: Token[] = [];
  let rest = prompt.toLowerCase();
  while (rest !== "") {
    rest = rest.trimStart();
    const token = nextToken(rest, tokens.at(-1));
    if (token === null) break;
    tokens.push(token.token);
    rest = rest.slice(token.length);
  }
  return tokens;
}

function nextToken(rest: string, before: Token | undefined): { token: Token; length: number } | null {
  if (rest === "") return null;
  const number = NUMBER.exec(rest)?.[0];
  if (number !== undefined)
    return { token: { kind: "number", text: number.replaceAll(",", "") }, length: number.length };
  for (const [pattern, text] of OPERATOR_WORDS) {
    const match = pattern.exec(rest)?.[0];
    if (match === undefined || continuesWord(match, rest)) continue;
    const negative = text === "-" && match === "-" && !endsOperand(before) && NUMBER.exec(rest.slice(1))?.[0];
    if (negative)
      return { token: { kind: "number", text: `-${negative.replaceAll(",", "")}` }, length: 1 + negative.length };
    return { token: { kind: "operator", text }, length: match.length };
  }
  for (const [pattern, text] of VERBS) {
    const match = pattern.exec(rest)?.[0];
    if (match !== undefined) return { token: { kind: "verb", text }, length: match.length };
  }
  if (rest.startsWith("(")) return { token: { kind: "open", text: "(" }, length: 1 };
  if (rest.startsWith(")")) return { token: { kind: "close", text: ")" }, length: 1 };
  const filler = FILLER.exec(rest)?.[0];
  if (filler !== undefined) return { token: { kind: "filler", text: filler }, length: filler.length };
  if (rest.startsWith("from")) return { token: { kind: "other", text: "from" }, length: 4 };
  const word = /^(?:[a-z0-9_.'’]+|.)/s.exec(rest)?.[0] ?? rest.charAt(0);
  return { token: { kind: "other", text: word }, length: word.length };
}

/** "overdue" is not "over". */
function continuesWord(match: string, rest: string): boolean {
  return /[a-z]$/.test(match) && /^[a-z]/.test(rest.slice(match.length));
}

function endsOperand(token: Token | undefined): boolean {
  return token?.kind === "number" || token?.kind === "close";
}

/** Finds the first sum in a prompt; null if there is none. */
export function readSum(prompt: string): Sum | null {
  if (DATE.test(prompt) || !(MEANT.test(prompt) || /^[-(\d]/.test(prompt))) return null;
  const tokens = tokenize(prompt);
  for (let at = 0; at < tokens.length; at += 1) {
    const start = readExpression(tokens, at) ?? readOrder(tokens, at);
    if (start !== null) return { first: start.text, steps: readSteps(tokens, start.next) };
  }
  return null;
}

interface Read {
  text: string;
  next: number;
}

/** `5 + 10 * 2`: at least one operator. */
function readExpression(tokens: readonly Token[], at: number): Read | null {
  const read = readChain(tokens, at);
  return read !== null && read.operators > 0 ? read : null;
}

function readChain(tokens: readonly Token[], at: number): (Read & { operators: number }) | null {
  const first = readOperand(tokens, at);
  if (first === null) return null;
  let { text, next } = first;
  let operators = 0;
  for (;;) {
    const operator = tokens[next];
    const operand = operator?.kind === "operator" ? readOperand(tokens, next + 1) : null;
    if (operator === undefined || operand === null) return { text, next, operators };
    text += ` ${operator.text} ${operand.text}`;
    next = operand.next;
    operators += 1;
  }
}

function readOperand(tokens: readonly Token[], at: number): Read | null {
  const token = tokens[at];
  if (token?.kind === "number") return { text: token.text, next: at + 1 };
  if (token?.kind !== "open") return null;
  const inner = readChain(tokens, at + 1);
  if (inner === null || tokens[inner.next]?.kind !== "close") return null;
  return { text: `(${inner.text})`, next: inner.next + 1 };
}

/** "add 5 and 10", "subtract 3 from 10", "divide 10 by 4". */
function readOrder(tokens: readonly Token[], at: number): Read | null {
  const verb = tokens[at];
  const left = verb?.kind === "verb" ? readOperand(tokens, at + 1) : null;
  if (verb === undefined || left === null) return null;
  const from = tokens[left.next]?.text === "from";
  const right = readOperand(tokens, from ? left.next + 1 : afterFillers(tokens, left.next));
  if (right === null) return null;
  const [a, b] = from ? [right.text, left.text] : [left.text, right.text];
  return { text: `${a} ${verb.text} ${b}`, next: right.next };
}

function readSteps(tokens: readonly Token[], from: number): Step[] {
  const steps: Step[] = [];
  let at = from;
  for (;;) {
    const operatorAt = afterFillers(tokens, at);
    const operator = tokens[operatorAt];
    if (operator?.kind !== "operator" && operator?.kind !== "verb") return steps;
    let operandAt = afterFillers(tokens, operatorAt + 1);
    if (operator.kind === "verb" && tokens[operandAt]?.text === operator.text) operandAt += 1; // "raise it | to the power of | 2"
    const reversed = tokens[operandAt]?.text === "from";
    const operand = readOperand(tokens, reversed ? operandAt + 1 : operandAt);
    if (operand === null) return steps;
    steps.push({ operator: operator.text, operand: operand.text, reversed });
    at = tokens[operand.next]?.text === "from" ? operand.next + 1 : operand.next; // "subtract 3 from it"
  }
}

function afterFillers(tokens: readonly Token[], at: number): number {
  let next = at;
  while (tokens[next]?.kind === "filler") next += 1;
  return next;
}
