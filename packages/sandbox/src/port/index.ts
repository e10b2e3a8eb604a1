/**
 * What the rest of the house knows of a sandbox. Tools get `OpenSandbox` and see nothing else of this package.
 */
export { SandboxError } from "./errors.ts";
export type { FileEntry, FileStream, SandboxFiles, SearchMatch } from "./files.ts";
export type { SandboxProvider } from "./provider.ts";
export type { ConnectInput, ExecInput, ExecResult, KilledProcesses, OpenSandbox, Sandbox } from "./sandbox.ts";
export { absoluteWorkspacePath, parseWorkspacePath, type WorkspacePath, workspaceRoot } from "./workspace-path.ts";
