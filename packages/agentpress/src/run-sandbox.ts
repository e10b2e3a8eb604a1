import type { OpenSandbox, Sandbox } from "@cortex/sandbox/port";

/** The sandbox of one run: opened on first need, and known from then on. */
export interface RunSandbox {
  open: OpenSandbox;
  /** What has been opened already; null while no tool has needed it. Opens nothing. */
  opened(): Sandbox | null;
}

export const startRunSandbox = (open: OpenSandbox): RunSandbox => {
  let opened: Sandbox | null = null;
  return {
    open: async () => {
      opened = await open();
      return opened;
    },
    opened: () => opened,
  };
};
