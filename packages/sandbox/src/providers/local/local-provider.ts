import { execFile } from "node:child_process";
import { stat } from "node:fs/promises";
import { promisify } from "node:util";
import type { Logger } from "@cortex/observability";
import type { SandboxCapabilities } from "../../port/sandbox.ts";
import { MachineProvider } from "../../running/machine-provider.ts";
import type { SandboxFolder, SandboxHome } from "../../running/sandbox-home.ts";
import { bubblewrapCommand, type LocalHost, type LocalLimits } from "./bubblewrap-command.ts";
import { hostUidOf, type UidRange } from "./host-uid.ts";

/** Memory and disk are not limited yet, so they are not claimed. */
const capabilities: SandboxCapabilities = {
  processes: true,
  liveOutput: true,
  network: false,
  preview: true,
  archive: false,
  limits: ["processes", "file_size", "temporary_files"],
};

export const defaultLocalLimits: LocalLimits = {
  processes: 512,
  fileBytes: 1024 ** 3,
  temporaryBytes: 256 * 1024 ** 2,
};

/**
 * An agent kills a process group and answers within milliseconds; in a sandbox at its limits, or on a machine that swaps, within a
 * second or two. `livenessMs` is longer than the longest time for which the kernel may fairly withhold the processor from it.
 */
const link = { cancelGraceMs: 3_000, livenessMs: 20_000 };

/** How sandboxes become users of their own; null if we are not root, and they are we. */
export interface Identities {
  setpriv: string;
  range: UidRange;
  /** See `Identity`. */
  staged: boolean;
}

/**
 * Gives a workspace to its uid that is somebody else's: it was made while another provider served it. Only symlinks themselves change
 * hands, never what they point to.
 */
const claim = async (folder: SandboxFolder, uid: number): Promise<void> => {
  for (const path of [folder.workspace, folder.home]) {
    if ((await stat(path)).uid !== uid) await promisify(execFile)("chown", ["-RhP", `${uid}:${uid}`, path]);
  }
};

/** Sandboxes as bubblewrap processes on this machine: real programs in namespaces of their own, without network. */
export const openLocalProvider = (
  deps: { log: Logger },
  input: { home: SandboxHome; host: LocalHost; identities: Identities | null; limits: LocalLimits; idleMs: number },
): MachineProvider => {
  const { host, identities, limits } = input;
  const identityOf = (id: string) =>
    identities === null ? null : { ...identities, uid: hostUidOf(identities.range, id) };
  return new MachineProvider({
    name: "local",
    capabilities,
    home: input.home,
    ownerOf: (id) => identityOf(id)?.uid ?? null,
    command: async (folder) => {
      const identity = identityOf(folder.id);
      if (identity !== null) await claim(folder, identity.uid);
      return bubblewrapCommand(host, limits, folder, identity);
    },
    link,
    idleMs: input.idleMs,
    log: deps.log,
  });
};
