import type { KilledProcesses, Sandbox } from "@cortex/sandbox/port";
import { shorten, storableText } from "./storable.ts";

/** A command that the end of a run has ended. */
export interface EndedCommand extends KilledProcesses {
  /** Shortened: for a receipt. */
  command: string;
}

/** Characters of a command line in a receipt; the whole of it stands in the arguments of its call. */
const maxCommandChars = 200;

/** The same sandbox; every command of it that an abort ends is told to `note`, whichever tool runs it. */
export const noteKills = (sandbox: Sandbox, note: (ended: EndedCommand) => void): Sandbox => ({
  id: sandbox.id,
  provider: sandbox.provider,
  capabilities: sandbox.capabilities,
  files: sandbox.files,
  connect: (input, signal) => sandbox.connect(input, signal),
  takeNotices: () => sandbox.takeNotices(),
  exec: (input, signal) =>
    sandbox.exec(
      {
        ...input,
        onKilled: (killed) => {
          note({ command: shorten(storableText(input.command), maxCommandChars), ...killed });
          input.onKilled?.(killed);
        },
      },
      signal,
    ),
});
