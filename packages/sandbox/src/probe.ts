import { mkdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { Logger } from "@cortex/observability";
import { SandboxError } from "./port/errors.ts";
import type { LocalLimits } from "./providers/local/bubblewrap-command.ts";
import { examineHost } from "./providers/local/examine-host.ts";
import { defaultLocalLimits, openLocalProvider } from "./providers/local/local-provider.ts";
import { openVirtualProvider } from "./providers/virtual/virtual-provider.ts";
import type { MachineProvider } from "./running/machine-provider.ts";
import { SandboxHome } from "./running/sandbox-home.ts";

export interface SandboxSettings {
  /** Folder for sandboxes and what they run on; made if missing. All processes of a machine use the same. */
  home: string;
  /** `auto` takes the local provider where it works, else the virtual one. */
  choice: "auto" | "local" | "virtual";
  /** The host's PATH, for bubblewrap and its companions. */
  searchPath: string;
  /** Whether a missing bubblewrap may be asked of the system's packages. Default true. */
  mayDownload?: boolean;
  limits?: Partial<LocalLimits>;
  /** Milliseconds without a call after which a sandbox's process is stopped. Default ten minutes. */
  idleMs?: number;
}

export interface ProbedSandboxes {
  provider: MachineProvider;
  /** One sentence for the log and for `/ready`: which provider, and why this one. */
  reason: string;
}

const defaultIdleMs = 10 * 60_000;

/**
 * Chooses the sandbox of this machine at boot by trying it. There are two outcomes and an error, and never a shell without a sandbox.
 * @throws SandboxError `sandbox_unavailable` if `choice` is `local` and this machine cannot; the message says why
 */
export const probeSandbox = async (
  deps: { log: Logger },
  settings: SandboxSettings,
  signal?: AbortSignal,
): Promise<ProbedSandboxes> => {
  const { choice, searchPath, mayDownload = true, idleMs = defaultIdleMs } = settings;
  // Sandbox processes begin elsewhere, so a relative path would mean another folder to them.
  const root = resolve(settings.home);
  const limits = { ...defaultLocalLimits, ...settings.limits };
  // A sandbox's uid passes through on its way to what is its own; it cannot look around.
  await mkdir(root, { recursive: true, mode: 0o711 });
  const home = new SandboxHome(join(root, "sandboxes"));

  const virtual = (why: string): ProbedSandboxes => ({
    provider: openVirtualProvider(deps, { home, idleMs }),
    reason: `virtual sandboxes (an interpreter for text and files, no programs): ${why}`,
  });
  const choose = async (): Promise<ProbedSandboxes> => {
    if (choice === "virtual") return virtual("chosen by setting");
    const verdict = await examineHost(deps, { home: root, searchPath, mayDownload, limits }, signal);
    if (verdict.able) {
      const { host, identities, version, startMs } = verdict;
      return {
        provider: openLocalProvider(deps, { home, host, identities, limits, idleMs }),
        reason: `local sandboxes: bubblewrap ${version} works here (started one in ${Math.round(startMs)} ms)`,
      };
    }
    if (choice === "local") {
      throw new SandboxError("sandbox_unavailable", `Local sandboxes do not work on this machine: ${verdict.why}`);
    }
    return virtual(`local ones do not work on this machine: ${verdict.why}`);
  };

  const chosen = await choose();
  await chosen.provider.removeLeftovers();
  deps.log.info({ provider: chosen.provider.name }, chosen.reason);
  return chosen;
};
