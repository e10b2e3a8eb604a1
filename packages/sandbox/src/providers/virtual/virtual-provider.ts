import { chown, stat } from "node:fs/promises";
import { join, sep } from "node:path";
import { fileURLToPath } from "node:url";
import type { Logger } from "@cortex/observability";
import type { SandboxCapabilities } from "../../port/sandbox.ts";
import type { Machine } from "../../running/machine.ts";
import { MachineProvider } from "../../running/machine-provider.ts";
import type { AgentCommand } from "../../running/running-agent.ts";
import type { SandboxFolder, SandboxHome } from "../../running/sandbox-home.ts";
import { oneAtATime, Turns } from "./one-at-a-time.ts";

const capabilities: SandboxCapabilities = {
  processes: false,
  liveOutput: false,
  network: false,
  preview: false,
  archive: false,
  limits: ["temporary_files", "memory"],
};

/**
 * An interpreter in a loop rightly hears nothing, so only a script's own timeout can tell that it is lost. `cancelGraceMs` and the time to
 * end a process < the 800 ms after which the engine leaves an aborted call behind: what was killed is to be in its receipt.
 */
const link = { cancelGraceMs: 300, livenessMs: null };

/** V8's heap. A script that wants more dies alone, in a process of its own. */
const heapMb = 512;

const packageFolder = join(import.meta.dirname, "../../..");

/** The folder `node_modules` that holds the interpreter and what it needs. */
const modulesFolder = (): string => {
  const path = fileURLToPath(import.meta.resolve("just-bash"));
  return path.slice(0, path.lastIndexOf(`${sep}node_modules${sep}`) + `${sep}node_modules${sep}`.length);
};

/**
 * A process of its own, never our event loop, with Node's permission model as a second wall around the interpreter: it may read its
 * own program and the workspace, write the workspace, and nothing else: no network, no processes, no environment of ours.
 */
export const virtualCommand = (folder: SandboxFolder): AgentCommand => ({
  program: process.execPath,
  args: [
    "--permission",
    `--allow-fs-read=${join(packageFolder, "src")}${sep}`,
    `--allow-fs-read=${join(packageFolder, "package.json")}`,
    `--allow-fs-read=${modulesFolder()}`,
    // To ask the kernel what it has opened (confine.ts).
    "--allow-fs-read=/proc/self/fd/",
    `--allow-fs-read=${folder.workspace}`,
    `--allow-fs-read=${folder.workspace}${sep}`,
    `--allow-fs-write=${folder.workspace}${sep}`,
    `--max-old-space-size=${heapMb}`,
    join(import.meta.dirname, "main.ts"),
    folder.workspace,
  ],
  env: {},
});

/**
 * Gives the workspace folder back to ourselves: if a local sandbox had it, it belongs to that one's uid. The local provider does the
 * reverse when it finds the folder not its own, and so learns that there may be files of ours in it.
 */
const claim = async (folder: SandboxFolder): Promise<void> => {
  const uid = process.getuid?.();
  if (uid === 0 && (await stat(folder.workspace)).uid !== 0) await chown(folder.workspace, 0, 0);
};

/** Sandboxes as interpreters of bash: text and files, no programs. For machines on which namespaces are closed. */
export const openVirtualProvider = (
  deps: { log: Logger },
  input: { home: SandboxHome; idleMs: number },
): MachineProvider => {
  const turns = new WeakMap<Machine, Turns>();
  const turnsOf = (machine: Machine): Turns => {
    const known = turns.get(machine) ?? new Turns();
    turns.set(machine, known);
    return known;
  };
  return new MachineProvider({
    name: "virtual",
    capabilities,
    home: input.home,
    ownerOf: () => null,
    command: async (folder) => {
      await claim(folder);
      return virtualCommand(folder);
    },
    link,
    refine: (handle, machine) => oneAtATime(handle, machine, turnsOf(machine)),
    idleMs: input.idleMs,
    log: deps.log,
  });
};
