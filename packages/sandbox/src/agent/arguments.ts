import { OperationError } from "./operation-error.ts";

/** The arguments of a request, read with care: a wrong one is a failure of that call, never of the agent. */
export class Arguments {
  readonly #values: Readonly<Record<string, unknown>>;

  constructor(value: unknown) {
    this.#values = typeof value === "object" && value !== null ? { ...value } : {};
  }

  text(name: string): string {
    const value = this.#values[name];
    if (typeof value !== "string") throw this.#wrong(name);
    return value;
  }

  textOrNull(name: string): string | null {
    return this.#values[name] == null ? null : this.text(name);
  }

  /** A whole number from 0 on. */
  count(name: string): number {
    const value = this.#values[name];
    if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0) throw this.#wrong(name);
    return value;
  }

  countOrNull(name: string): number | null {
    return this.#values[name] == null ? null : this.count(name);
  }

  flag(name: string): boolean {
    const value = this.#values[name];
    if (typeof value !== "boolean") throw this.#wrong(name);
    return value;
  }

  texts(name: string): string[] {
    const value = this.#values[name];
    if (!Array.isArray(value) || !value.every((item) => typeof item === "string")) throw this.#wrong(name);
    return value;
  }

  record(name: string): Record<string, string> {
    const value = this.#values[name];
    if (typeof value !== "object" || value === null) throw this.#wrong(name);
    const entries = Object.entries(value).filter((entry): entry is [string, string] => typeof entry[1] === "string");
    return Object.fromEntries(entries);
  }

  #wrong(name: string): OperationError {
    return new OperationError("invalid_argument", `The argument '${name}' is missing or wrong.`);
  }
}
