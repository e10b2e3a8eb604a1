import { AppError, type ErrorCode } from "@cortex/contracts";

/**
 * Why a sandbox could not do what it was asked. Closed: tools and file endpoints switch over it.
 * What a *command* answers (a non-zero exit code, a timeout) is a result, never one of these.
 */
export type SandboxErrorReason =
  | "path_outside_workspace" // the path rule of workspace-path.ts, or a symlink that leaves
  | "file_not_found"
  | "file_exists"
  | "file_changed" // `ifMatch` names another version than the one on disk
  | "file_too_large" // beyond the caller's bound, or beyond the sandbox's limit for one file
  | "not_a_file"
  | "not_a_directory"
  | "directory_not_empty"
  | "disk_full"
  | "permission_denied"
  | "process_limit" // no process could be started
  | "connection_refused" // nothing listens on that port, or it takes no connection
  | "connection_reset" // the server broke an open connection
  | "not_supported" // this provider cannot; its `capabilities` say so
  | "invalid_argument"
  | "sandbox_stopped" // it died or was stopped in the middle of this call; the effect of the call is unknown
  | "sandbox_gone" // it was deleted: opening it again cannot help
  | "sandbox_unavailable"; // it could not be started, or the provider does not answer

const codes: Record<SandboxErrorReason, ErrorCode> = {
  path_outside_workspace: "path_outside_workspace",
  file_not_found: "not_found",
  file_exists: "conflict",
  file_changed: "conflict",
  file_too_large: "body_too_large",
  not_a_file: "validation_failed",
  not_a_directory: "validation_failed",
  directory_not_empty: "conflict",
  disk_full: "conflict",
  permission_denied: "forbidden",
  process_limit: "conflict",
  connection_refused: "conflict",
  connection_reset: "unavailable",
  not_supported: "conflict",
  invalid_argument: "validation_failed",
  sandbox_stopped: "unavailable",
  sandbox_gone: "not_found",
  sandbox_unavailable: "unavailable",
};

/** A failure of a sandbox. The message is fit for the model and for the user: no host paths, no secrets. */
export class SandboxError extends AppError {
  readonly reason: SandboxErrorReason;

  constructor(reason: SandboxErrorReason, message: string, options?: ErrorOptions) {
    super(codes[reason], message, {}, options);
    this.reason = reason;
  }
}

/** Is this text one of the reasons? For what arrives as text from inside a sandbox. */
export const isSandboxErrorReason = (text: string): text is SandboxErrorReason => Object.hasOwn(codes, text);
