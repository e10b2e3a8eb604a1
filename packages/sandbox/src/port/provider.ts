import type { Sandbox, SandboxCapabilities, SandboxNotice, SandboxProviderName } from "./sandbox.ts";

/** How the provider and we call the same sandbox. */
export interface SandboxRef {
  /** Ours: the id of the row in `cortex.sandboxes`. */
  id: string;
  /** The provider's own. */
  externalId: string;
}

/** Where the provider has it. `gone`: it knows no such sandbox. */
export type SandboxState = "started" | "stopped" | "archived" | "error" | "gone";

/** Makes, finds and removes sandboxes. Knows no rows: `lifecycle/` keeps those. Every method may be repeated. */
export interface SandboxProvider {
  readonly name: SandboxProviderName;
  readonly capabilities: SandboxCapabilities;
  /** Milliseconds after which `create` has answered or failed. */
  readonly createTimeoutMs: number;

  /**
   * Makes the sandbox with this id. Making one that exists answers the same one: a reply that was lost may simply be asked for again.
   * @param input.labels what the provider stores beside it, so that a sweep knows whose it is
   */
  create(input: { id: string; labels: Readonly<Record<string, string>> }, signal?: AbortSignal): Promise<SandboxRef>;

  /** A handle. Starts nothing and checks nothing. @param notices what its first user should be told */
  open(ref: SandboxRef, notices?: readonly SandboxNotice[]): Sandbox;

  /** Makes sure that it runs, and returns when it does. A call on a handle does the same by itself. */
  resume(ref: SandboxRef, signal?: AbortSignal): Promise<void>;

  /** Ends its processes, keeps its files. Calls in progress fail with `sandbox_stopped`. */
  stop(ref: SandboxRef, signal?: AbortSignal): Promise<void>;

  /** Ends its processes and removes its files. */
  delete(ref: SandboxRef, signal?: AbortSignal): Promise<void>;

  state(ref: SandboxRef, signal?: AbortSignal): Promise<SandboxState>;

  /** Everything this provider holds for us, for the sweep that compares it with our rows. */
  list(signal?: AbortSignal): AsyncGenerator<SandboxRef & { state: SandboxState; labels: Record<string, string> }>;

  /** Lets go of everything this process holds. Sandboxes stay, their local processes end. */
  close(): Promise<void>;
}
