import type { EffectState } from "@cortex/contracts";
import type { OpenBrowser } from "@cortex/browser/port";
import type { OpenSandbox, Sandbox } from "@cortex/sandbox/port";
import type { ToolImage } from "./messages.ts";
import type { EndedCommand } from "./sandbox-kills.ts";
import type { Web } from "./web/web.ts";

/** What a tool may use. Everything that it does must end when `signal` is aborted; the reason says why. */
export interface ToolContext {
  readonly signal: AbortSignal;
  readonly runId: string;
  readonly toolCallId: string;
  /** The same in every attempt of this call: hand it to whatever deduplicates. */
  readonly idempotencyKey: string;
  /** Shows a piece of output live. Resolves when there is room for more: await it, and memory stays bounded at your source. */
  output(chunk: string): Promise<void>;
  /** The project's computer, started on first need. @throws ToolFailure when this run has none */
  openSandbox: OpenSandbox;
  /** The same if a call of this run has opened it already, else null; opens nothing. Left out: there is none. */
  openedSandbox?: () => Sandbox | null;
  /** The browser of this run, started by the first page. Left out: there is none. */
  openBrowser?: OpenBrowser | undefined;
  /** Shows a port of the sandbox to people. Left out: nobody can. */
  exposePort?: ExposePort | undefined;
  /** A message of this conversation by its id, or the result of a tool call by the call's; null if there is none. Without it: not available. */
  readMessage?(id: string): Promise<StoredText | null>;
  /** The way to the web. Without it: none. */
  web?: Web;
  now(): Date;
}

/** Shows a port, on which something listens, to people who have the link. Asking again gives a new link, or the same. */
export type ExposePort = (input: { sandbox: Sandbox; port: number }) => Promise<{ url: string; expiresAt: Date }>;

/** A stored message as text. */
export interface StoredText {
  role: "user" | "assistant" | "tool";
  text: string;
}

/** What a tool answers. Plain text is a success. */
export interface ToolAnswer {
  content: string;
  /** The model should see this as a failure. Whatever the tool did, it did: only `ToolFailure` says that nothing was changed. */
  isError?: boolean;
  /** Pictures for the model, if it can see any. A megabyte each at most. */
  images?: readonly ToolImage[];
}

/** What became of a call. A call never throws. */
export interface ToolOutcome {
  content: string;
  isError: boolean;
  images?: readonly ToolImage[];
  effectState: EffectState;
  /** It was cut short by the end of the run, not by a limit of its own: nobody knows how far it got. */
  interrupted: boolean;
  /** It did not react to that in time; it may still be going on, and nobody listens to it any more. */
  leftBehind: boolean;
  /** What the end of the run has ended in the sandbox. */
  killed: readonly EndedCommand[];
  /** What was thrown, where it was not the tool's own refusal: for the log, never for the model. */
  fault: unknown;
}
