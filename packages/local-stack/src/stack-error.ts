/** What kind of help a person needs; tests and callers tell causes apart by it. */
export type StackErrorCode =
  | "already_running"
  | "bad_setting"
  | "data_folder"
  | "not_ready"
  | "port_taken"
  | "redis_missing"
  | "start_failed"
  | "unsupported_platform";

/**
 * Why the local stack cannot do what was asked. The message is one sentence for the person at the terminal and says
 * what to do; it is printed as it stands, without a stack trace.
 */
export class StackError extends Error {
  readonly code: StackErrorCode;

  constructor(code: StackErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = "StackError";
    this.code = code;
  }
}

/** The `code` of a Node system error ("ENOENT", …), or null for anything else. */
export function systemErrorCode(error: unknown): string | null {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : null;
}
