/**
 * A failure with a reason that the host knows (`SandboxErrorReason`; a text here, because this folder imports nothing from outside).
 * Its message may be shown to users: paths in it are those of the sandbox.
 */
export class OperationError extends Error {
  readonly reason: string;

  constructor(reason: string, message: string) {
    super(message);
    this.reason = reason;
  }
}

const reasons: Record<string, string> = {
  ENOENT: "file_not_found",
  EEXIST: "file_exists",
  ENOTDIR: "not_a_directory",
  EISDIR: "not_a_file",
  ENOTEMPTY: "directory_not_empty",
  ENOSPC: "disk_full",
  EDQUOT: "disk_full",
  EFBIG: "file_too_large",
  EACCES: "permission_denied",
  EPERM: "permission_denied",
  EROFS: "permission_denied",
  ELOOP: "path_outside_workspace",
  ENAMETOOLONG: "path_outside_workspace",
  EAGAIN: "process_limit",
  EMFILE: "process_limit",
  ENOMEM: "process_limit",
};

const sentences: Record<string, string> = {
  file_not_found: "There is no such file or folder",
  file_exists: "There is already a file or folder of that name",
  not_a_directory: "This is not a folder",
  not_a_file: "This is not a file",
  directory_not_empty: "The folder is not empty",
  disk_full: "There is no space left",
  file_too_large: "The file would be larger than allowed",
  permission_denied: "Permission denied",
  path_outside_workspace: "The path leads out of the workspace",
  process_limit: "No more processes or files can be opened",
};

export const errnoOf = (error: unknown): string | null =>
  error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : null;

/** What the operating system said, in our words. The message names the path that the caller gave, never a resolved one. */
export const operationErrorFrom = (error: unknown, path: string): OperationError => {
  if (error instanceof OperationError) return error;
  const code = errnoOf(error);
  const reason = code === null ? undefined : reasons[code];
  if (reason === undefined)
    return new OperationError("invalid_argument", `The operation failed (${code ?? "unknown"}): ${path}`);
  return new OperationError(reason, `${sentences[reason] ?? reason}: ${path}`);
};
