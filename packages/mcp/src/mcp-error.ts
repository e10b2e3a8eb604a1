/**
 * What keeps a server's tool from answering. `unreachable`: no connection, or the server refuses what we say · `unauthorized`: it wants other
 * credentials · `changed`: its tool is not the one that was accepted · `broken`: it was asked, and what came back is no answer.
 */
export type McpErrorCode = "unreachable" | "unauthorized" | "changed" | "broken";

/** The message is fit for a model and its user: it holds neither headers nor addresses. */
export class McpError extends Error {
  override readonly name = "McpError";
  readonly code: McpErrorCode;
  /** The server may have done what it was asked for. */
  readonly mayHaveActed: boolean;
  /** It no longer knows our session, so it has done nothing of what we asked for. */
  readonly sessionLost: boolean;

  constructor(
    code: McpErrorCode,
    message: string,
    options: { mayHaveActed: boolean; sessionLost?: boolean; cause?: unknown },
  ) {
    super(message, { cause: options.cause });
    this.code = code;
    this.mayHaveActed = options.mayHaveActed;
    this.sessionLost = options.sessionLost ?? false;
  }
}
