/**
 * What the rest of the house knows of a sandbox. Tools get `OpenSandbox` and see nothing else of this package.
 */
export { isSandboxErrorReason, SandboxError, type SandboxErrorReason } from "./errors.ts";
export type {
  FileContent,
  FileEntry,
  FileList,
  FileStream,
  ReadOptions,
  SandboxFiles,
  SearchMatch,
  SearchQuery,
  SearchResult,
  WriteOptions,
} from "./files.ts";
export type { SandboxProvider, SandboxRef, SandboxState } from "./provider.ts";
export {
  defaultExecTimeoutMs,
  defaultMaxOutputBytes,
  type ExecInput,
  type ExecOutput,
  type ExecResult,
  type OpenSandbox,
  type Sandbox,
  type SandboxCapabilities,
  type SandboxLimit,
  type SandboxNotice,
  type SandboxProviderName,
} from "./sandbox.ts";
export { absoluteWorkspacePath, parseWorkspacePath, type WorkspacePath, workspaceRoot } from "./workspace-path.ts";
