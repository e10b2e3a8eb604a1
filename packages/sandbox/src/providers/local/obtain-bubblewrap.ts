import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Logger } from "@cortex/observability";
import { findProgram, isExecutable } from "./host-programs.ts";

const run = promisify(execFile);

/** A mirror that does not answer must not keep a worker from starting; a slow one may take its time. */
const downloadTimeoutMs = 60_000;

interface ObtainInput {
  /** The host's PATH. */
  searchPath: string;
  /** Where an unpacked program may stay. */
  toolsFolder: string;
  /** Whether the system's packages may be asked. */
  mayDownload: boolean;
}

const aptOptions = ["-o", "Acquire::Retries=1", "-o", "Acquire::http::Timeout=20", "-o", "DPkg::Lock::Timeout=30"];

const install = async (aptGet: string, signal: AbortSignal): Promise<void> => {
  const env = { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", DEBIAN_FRONTEND: "noninteractive", LC_ALL: "C" };
  const options = { env, signal };
  const args = ["install", "-y", "--no-install-recommends", ...aptOptions, "bubblewrap"];
  try {
    await run(aptGet, args, options);
  } catch {
    // Most often the lists are missing or old.
    await run(aptGet, ["update", ...aptOptions], options);
    await run(aptGet, args, options);
  }
};

/** Without root a package can still be downloaded and unpacked: bubblewrap needs nothing but the C library and libcap, which are always there. */
const unpack = async (aptGet: string, toolsFolder: string, signal: AbortSignal): Promise<void> => {
  const env = { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL: "C" };
  await mkdir(toolsFolder, { recursive: true });
  const draft = await mkdtemp(join(toolsFolder, ".bubblewrap-"));
  try {
    await run(aptGet, ["download", ...aptOptions, "bubblewrap"], { env, signal, cwd: draft });
    const [archive] = (await readdir(draft)).filter((name) => name.endsWith(".deb"));
    if (archive === undefined) throw new Error("apt-get downloaded nothing");
    await run("dpkg-deb", ["-x", join(draft, archive), join(draft, "unpacked")], { env, signal });
    await rm(join(toolsFolder, "bubblewrap"), { recursive: true, force: true });
    await rename(join(draft, "unpacked"), join(toolsFolder, "bubblewrap"));
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
};

/**
 * Finds bubblewrap: on the path, unpacked by an earlier start, or from the system's packages (installed as root, else unpacked into
 * `toolsFolder`).
 * @returns its absolute path, or a sentence why there is none
 */
export const obtainBubblewrap = async (
  deps: { log: Logger },
  input: ObtainInput,
  signal?: AbortSignal,
): Promise<{ path: string } | { missing: string }> => {
  const unpacked = join(input.toolsFolder, "bubblewrap/usr/bin/bwrap");
  const find = async () =>
    (await findProgram("bwrap", input.searchPath)) ?? ((await isExecutable(unpacked)) ? unpacked : null);

  const found = await find();
  if (found !== null) return { path: found };
  if (!input.mayDownload) return { missing: "bubblewrap is not installed" };
  const aptGet = await findProgram("apt-get", input.searchPath);
  if (aptGet === null) return { missing: "bubblewrap is not installed and there is no apt-get to get it with" };

  const limit = AbortSignal.any([AbortSignal.timeout(downloadTimeoutMs), ...(signal === undefined ? [] : [signal])]);
  deps.log.info("bubblewrap is not installed, asking the system's packages for it");
  try {
    if (process.getuid?.() === 0) await install(aptGet, limit);
    else await unpack(aptGet, input.toolsFolder, limit);
  } catch (error) {
    signal?.throwIfAborted();
    deps.log.warn({ err: error }, "could not get bubblewrap");
    return { missing: "bubblewrap is not installed and the system's packages could not be asked for it" };
  }
  const obtained = await find();
  return obtained === null ? { missing: "bubblewrap was installed but cannot be found" } : { path: obtained };
};
