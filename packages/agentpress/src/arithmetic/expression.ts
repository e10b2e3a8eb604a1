import {
  add,
  ArithmeticError,
  divide,
  type Fraction,
  multiply,
  negate,
  parseDecimal,
  power,
  remainder,
  subtract,
} from "./fraction.ts";

/** Characters of an expression, and parentheses inside each other: far above what anybody writes, far below what could hurt. */
const maxLength = 1_000;
const maxDepth = 100;

type Symbol = "+" | "-" | "*" | "/" | "%" | "^" | "(" | ")";
type Token = { kind: "number"; value: Fraction; at: number } | { kind: "symbol"; symbol: Symbol; at: number };

/** What people and models write for the same operator. */
const spellings: Readonly<Record<string, Symbol>> = {
  "+": "+",
  "-": "-",
  "−": "-",
  "–": "-",
  "*": "*",
  "×": "*",
  "·": "*",
  "/": "/",
  "÷": "/",
  "%": "%",
  "^": "^",
  "**": "^",
  "(": "(",
  ")": ")",
};

const number = /(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?/y;

const tokenise = (text: string): Token[] => {
  const tokens: Token[] = [];
  for (let at = 0; at < text.length;) {
    const character = text[at] ?? "";
    if (/\s/.test(character)) {
      at += 1;
      continue;
    }
    number.lastIndex = at;
    const digits = number.exec(text)?.[0];
    if (digits !== undefined) {
      tokens.push({ kind: "number", value: parseDecimal(digits), at });
      at += digits.length;
      continue;
    }
    const spelling = text.startsWith("**", at) ? "**" : character;
    const symbol = Object.hasOwn(spellings, spelling) ? spellings[spelling] : undefined;
    if (!symbol)
      throw new ArithmeticError(
        `Unexpected "${character}" at position ${at + 1}. Only numbers, + - * / % ^ and parentheses are understood.`,
      );
    tokens.push({ kind: "symbol", symbol, at });
    at += spelling.length;
  }
  return tokens;
};

/** Precedence climbing over the tokens, weakest first: sums, products, signs, powers (which bind to the right and before a sign). */
class Parser {
  readonly #tokens: readonly Token[];
  #next = 0;
  #depth = 0;

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  parse(): Fraction {
    const value = this.#sum();
    const rest = this.#tokens[this.#next];
    if (rest) throw new ArithmeticError(`Unexpected ${this.#name(rest)} at position ${rest.at + 1}.`);
    return value;
  }

  #sum(): Fraction {
    let value = this.#product();
    for (;;) {
      if (this.#take("+")) value = add(value, this.#product());
      else if (this.#take("-")) value = subtract(value, this.#product());
      else return value;
    }
  }

  #product(): Fraction {
    let value = this.#signed();
    for (;;) {
      if (this.#take("*")) value = multiply(value, this.#signed());
      else if (this.#take("/")) value = divide(value, this.#signed());
      else if (this.#take("%")) value = remainder(value, this.#signed());
      else return value;
    }
  }

  #signed(): Fraction {
    return this.#nested(() => {
      if (this.#take("-")) return negate(this.#signed());
      if (this.#take("+")) return this.#signed();
      return this.#raised();
    });
  }

  #raised(): Fraction {
    const base = this.#operand();
    return this.#take("^") ? power(base, this.#signed()) : base;
  }

  #operand(): Fraction {
    const token = this.#tokens[this.#next];
    if (!token) throw new ArithmeticError("The expression ends where a number is expected.");
    this.#next += 1;
    if (token.kind === "number") return token.value;
    if (token.symbol !== "(") {
      throw new ArithmeticError(
        `Unexpected ${this.#name(token)} at position ${token.at + 1}, where a number is expected.`,
      );
    }
    const value = this.#sum();
    if (!this.#take(")")) throw new ArithmeticError(`The parenthesis at position ${token.at + 1} is not closed.`);
    return value;
  }

  /** Every recursion passes here. */
  #nested(parse: () => Fraction): Fraction {
    this.#depth += 1;
    if (this.#depth > maxDepth) throw new ArithmeticError(`The expression is nested deeper than ${maxDepth} levels.`);
    const value = parse();
    this.#depth -= 1;
    return value;
  }

  #take(symbol: Symbol): boolean {
    const token = this.#tokens[this.#next];
    if (token?.kind !== "symbol" || token.symbol !== symbol) return false;
    this.#next += 1;
    return true;
  }

  #name(token: Token): string {
    return token.kind === "number" ? "number" : `"${token.symbol}"`;
  }
}

/**
 * The value of an arithmetic expression: numbers, `+ - * / % ^`, parentheses. A parser of our own: nothing is ever evaluated as code.
 * @throws ArithmeticError with the place and the reason
 */
export const evaluate = (expression: string): Fraction => {
  if (expression.length > maxLength)
    throw new ArithmeticError(`The expression is longer than ${maxLength} characters.`);
  return new Parser(tokenise(expression)).parse();
};
