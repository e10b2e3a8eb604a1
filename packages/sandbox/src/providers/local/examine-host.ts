import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Logger } from "@cortex/observability";
import { silentLogger } from "@cortex/observability";
import { SandboxHome } from "../../running/sandbox-home.ts";
import type { LocalHost, LocalLimits } from "./bubblewrap-command.ts";
import { findProgram } from "./host-programs.ts";
import { chooseUidRange } from "./host-uid.ts";
import { type Identities, openLocalProvider } from "./local-provider.ts";
import { obtainBubblewrap } from "./obtain-bubblewrap.ts";
import { prepareRuntime } from "./runtime-folder.ts";

/** Whether this machine can hold local sandboxes, and with what; or a sentence why not. */
export type HostVerdict =
  | { able: true; host: LocalHost; identities: Identities | null; version: string; startMs: number }
  | { able: false; why: string };

/** `--size` and `--disable-userns` came with 0.8.0; a sandbox without them is not the one we promise. */
const oldestBubblewrap: readonly [number, number] = [0, 8];

const isOldEnough = (version: string): boolean => {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  const [oldestMajor, oldestMinor] = oldestBubblewrap;
  return major > oldestMajor || (major === oldestMajor && minor >= oldestMinor);
};

/**
 * As root each sandbox becomes a user of its own, through a stage or, in a container that may not mount, without one; there is no third
 * way, rather than sandboxes that are root. As anybody else there is one way: as ourselves.
 */
const waysToStart = async (searchPath: string): Promise<(Identities | null)[] | { why: string }> => {
  if (process.getuid?.() !== 0) return [null];
  const setpriv = await findProgram("setpriv", searchPath);
  if (setpriv === null) return { why: "setpriv (util-linux) is not installed" };
  const range = chooseUidRange(await readFile("/proc/self/uid_map", "utf8"));
  if (range === null) return { why: "this container has no user ids to spare" };
  return [true, false].map((staged) => ({ setpriv, range, staged }));
};

/** What to do about the refusals that people meet most. */
const explained = (said: string): string => {
  if (/namespace|Operation not permitted|uid map/i.test(said)) {
    return `${said} (namespaces are closed here: in Docker allow them with a seccomp profile, on Ubuntu see kernel.apparmor_restrict_unprivileged_userns)`;
  }
  return said;
};

/**
 * Tries it: a real sandbox over a folder of its own, one real command, removed again. Nothing that is merely likely to work counts.
 */
const tryOut = async (
  input: { home: string; host: LocalHost; identities: Identities | null; limits: LocalLimits },
  signal: AbortSignal | undefined,
): Promise<{ startMs: number } | { why: string }> => {
  const folder = join(input.home, `.probe-${randomUUID()}`);
  const home = new SandboxHome(folder);
  const provider = openLocalProvider({ log: silentLogger() }, { ...input, home, idleMs: 60_000 });
  try {
    const ref = await provider.create({ id: randomUUID(), labels: {} });
    const sandbox = provider.open(ref);
    const startedAt = performance.now();
    await provider.resume(ref);
    const startMs = performance.now() - startedAt;
    const result = await sandbox.exec({ command: "echo ok > probe && cat probe", timeoutMs: 10_000 }, signal);
    await provider.delete(ref);
    return result.stdout === "ok\n" ? { startMs } : { why: `a first command failed: ${result.stderr}` };
  } catch (error) {
    signal?.throwIfAborted();
    return { why: error instanceof Error ? error.message : String(error) };
  } finally {
    await provider.close();
    await rm(folder, { recursive: true, force: true });
  }
};

/** Finds out whether this machine can hold local sandboxes. Takes a quarter of a second, or a download longer. */
export const examineHost = async (
  deps: { log: Logger },
  input: { home: string; searchPath: string; mayDownload: boolean; limits: LocalLimits },
  signal?: AbortSignal,
): Promise<HostVerdict> => {
  const no = (why: string): HostVerdict => ({ able: false, why });
  if (process.platform !== "linux") return no(`there is no bubblewrap on ${process.platform}`);
  const found = await obtainBubblewrap(deps, { ...input, toolsFolder: join(input.home, "tools") }, signal);
  if ("missing" in found) return no(found.missing);
  if ((await findProgram("prlimit", "/usr/bin:/usr/sbin")) === null) return no("prlimit (util-linux) is not installed");
  const ways = await waysToStart(input.searchPath);
  if ("why" in ways) return no(ways.why);

  try {
    const { stdout } = await promisify(execFile)(found.path, ["--version"], { signal, env: {} });
    const version = stdout.trim().split(" ").at(-1) ?? "";
    if (!isOldEnough(version)) return no(`bubblewrap ${version} is too old, 0.8.0 is needed`);
    const host: LocalHost = {
      bubblewrap: found.path,
      node: process.execPath,
      shell: existsSync("/bin/bash") ? "/bin/bash" : "/bin/sh",
      runtime: await prepareRuntime(input.home),
    };
    let why = "";
    for (const identities of ways) {
      const tried = await tryOut({ ...input, host, identities }, signal);
      if ("startMs" in tried) return { able: true, host, identities, version, startMs: tried.startMs };
      why ||= tried.why;
    }
    return no(explained(why));
  } catch (error) {
    signal?.throwIfAborted();
    return no(explained(error instanceof Error ? error.message : String(error)));
  }
};
