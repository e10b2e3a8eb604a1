import { existsSync, lstatSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { workspaceRoot } from "../../port/workspace-path.ts";
import type { AgentCommand } from "../../running/running-agent.ts";
import type { SandboxFolder } from "../../running/sandbox-home.ts";
import { etcFiles } from "./runtime-folder.ts";

/** What one sandbox may use. Each is enforced by the kernel. */
export interface LocalLimits {
  /** Processes and threads at once. */
  processes: number;
  /** Bytes of one file. */
  fileBytes: number;
  /** Bytes below /tmp, and half as many below /dev/shm. They are memory of the host. */
  temporaryBytes: number;
}

/** What the host has, found out once by the probe. */
export interface LocalHost {
  bubblewrap: string;
  node: string;
  shell: string;
  /** The folder of `prepareRuntime`. */
  runtime: string;
}

/** Descriptors that a process may open: enough for a build, far from what would hurt the kernel. */
const maxOpenFiles = 4_096;
/** V8's heap in the agent. It holds windows of data, never files. */
const agentHeapMb = 64;

const agentFolder = "/opt/cortex/agent";
const nodeFolder = "/opt/cortex/bin";
const homeFolder = "/home/user";

/** The system's folders beside /usr: links into it on merged systems, folders of their own on others. */
const systemFolders = (): string[] =>
  ["/bin", "/sbin", "/lib", "/lib64", "/lib32", "/libx32"].flatMap((path) => {
    const stats = lstatSync(path, { throwIfNoEntry: false });
    if (stats === undefined) return [];
    return stats.isSymbolicLink() ? ["--symlink", readlinkSync(path), path] : ["--ro-bind", path, path];
  });

/** Public parts of the host's /etc that programs need. */
const systemSettings = [
  "/etc/ssl",
  "/etc/ca-certificates",
  "/etc/alternatives",
  "/etc/fonts",
  "/etc/ld.so.cache",
  "/etc/localtime",
];

/** Where the things of ours stand that go into the sandbox: on the host, or in the stage. */
interface Sources {
  bubblewrap: string;
  node: string;
  runtime: string;
  workspace: string;
  home: string;
}

/**
 * The sandbox proper, without privileges: namespaces for everything, a read-only system, no network but its own loopback, no further
 * user namespaces, no terminal to type into, dead with us.
 */
const sandboxArguments = (sources: Sources, shell: string, limits: LocalLimits): string[] => [
  ...["--unshare-all", "--unshare-user", "--disable-userns", "--die-with-parent", "--new-session"],
  ...["--uid", "1000", "--gid", "1000", "--hostname", "sandbox"],
  ...["--ro-bind", "/usr", "/usr", ...systemFolders()],
  ...systemSettings.flatMap((path) => ["--ro-bind-try", path, path]),
  ...etcFiles.flatMap((name) => ["--ro-bind", join(sources.runtime, "etc", name), `/etc/${name}`]),
  // NixOS keeps the system there.
  ...(existsSync("/nix/store") ? ["--ro-bind", "/nix/store", "/nix/store"] : []),
  ...["--proc", "/proc", "--dev", "/dev"],
  ...["--size", String(Math.ceil(limits.temporaryBytes / 2)), "--perms", "1777", "--tmpfs", "/dev/shm"],
  ...["--size", String(limits.temporaryBytes), "--perms", "1777", "--tmpfs", "/tmp"],
  ...["--ro-bind", sources.node, `${nodeFolder}/node`],
  ...["--ro-bind", join(sources.runtime, "agent"), agentFolder],
  ...["--bind", sources.home, homeFolder],
  ...["--bind", sources.workspace, workspaceRoot],
  // The root and /dev are file systems in the host's memory without a size: closed, or a command could fill it.
  ...["--remount-ro", "/dev", "--remount-ro", "/"],
  ...["--chdir", workspaceRoot, "--clearenv"],
  ...["--setenv", "PATH", `/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:${nodeFolder}`],
  ...["--setenv", "HOME", homeFolder, "--setenv", "USER", "user", "--setenv", "LOGNAME", "user"],
  ...["--setenv", "SHELL", shell, "--setenv", "LANG", "C.UTF-8", "--setenv", "TERM", "dumb"],
  "--",
  // Inside the user namespace, so that the count of processes is the sandbox's own and not that of the whole user.
  ...["prlimit", `--nproc=${limits.processes}`, `--fsize=${limits.fileBytes}`, `--nofile=${maxOpenFiles}`, "--core=0"],
  ...[`${nodeFolder}/node`, `--max-old-space-size=${agentHeapMb}`, `${agentFolder}/main.mjs`, workspaceRoot, shell],
];

/**
 * As root there are two bubblewraps, where that is allowed. The outer one, still root, brings everything of ours to a place that the sandbox's uid can
 * reach: our folders may stand below /root, which is closed to it. Then `setpriv` gives root away, and the inner one builds the sandbox
 * without any privilege.
 *
 * The outer one has a pid namespace of its own, because death has to pass from root to another uid: a parent without CAP_KILL, as
 * bubblewrap's monitor is, cannot have its dying signal delivered to a child that is somebody else. A pid namespace ends with its first
 * process, whoever the others are.
 */
const stage = "/tmp";
const staged: Sources = {
  bubblewrap: `${stage}/bubblewrap`,
  node: `${stage}/node`,
  runtime: `${stage}/runtime`,
  workspace: `${stage}/workspace`,
  home: `${stage}/home`,
};

const stageArguments = (sources: Sources): string[] => [
  ...["--dev-bind", "/", "/", "--tmpfs", stage],
  ...["--ro-bind", sources.bubblewrap, staged.bubblewrap],
  ...["--ro-bind", sources.node, staged.node],
  ...["--ro-bind", sources.runtime, staged.runtime],
  ...["--bind", sources.workspace, staged.workspace],
  ...["--bind", sources.home, staged.home],
  ...["--unshare-pid", "--die-with-parent", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID", "--"],
];

/** How a process of ours becomes somebody else. */
export interface Identity {
  setpriv: string;
  uid: number;
  /** Through a stage; otherwise all our folders must be open to that uid. */
  staged: boolean;
}

/**
 * The command that starts a sandbox.
 * @param identity whom its processes are on the host; null for ourselves, which must not be root
 */
export const bubblewrapCommand = (
  host: LocalHost,
  limits: LocalLimits,
  folder: SandboxFolder,
  identity: Identity | null,
): AgentCommand => {
  const sources: Sources = { ...host, workspace: folder.workspace, home: folder.home };
  // Pid 1 of the sandbox is bubblewrap itself, and its environment can be read from inside, --clearenv notwithstanding.
  const env = { PATH: "/usr/bin:/bin" };
  if (identity === null) {
    if (process.getuid?.() === 0) throw new TypeError("a sandbox never runs as root");
    return { program: host.bubblewrap, args: sandboxArguments(sources, host.shell, limits), env };
  }
  const become = [`--reuid=${identity.uid}`, `--regid=${identity.uid}`, "--clear-groups", "--inh-caps=-all", "--"];
  if (!identity.staged) {
    const args = [...become, host.bubblewrap, ...sandboxArguments(sources, host.shell, limits)];
    return { program: identity.setpriv, args, env };
  }
  const args = [
    ...stageArguments(sources),
    ...[identity.setpriv, ...become, staged.bubblewrap],
    ...sandboxArguments(staged, host.shell, limits),
  ];
  return { program: host.bubblewrap, args, env };
};
