import { execFile } from "node:child_process";
import { existsSync, globSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { isRecentEnough, redisVersion, type RedisProgram } from "./find-program.ts";

const run = promisify(execFile);

/** Downloads 1.4 MB in 3 s on an ordinary line; refreshing apt's lists takes up to 30 s. 180 s > both, on a slow one. */
const TIMEOUT_MS = 180_000;

/**
 * Redis from the system's own packages (Debian, Ubuntu): the .deb files are fetched by apt, so their signatures are
 * checked, and unpacked into `folder`. Nothing is installed, no service is started, no root is needed. Where apt has no
 * package lists, they are fetched into `folder` too. As root, `apt-get install` is the last resort.
 * Null when this machine has no apt or its mirrors cannot be reached; `say` hears what takes long.
 */
export async function fromSystemPackages(folder: string, say: (line: string) => void): Promise<RedisProgram | null> {
  const unpacked = await inspect(folder);
  if (unpacked !== null) return unpacked;
  if (process.platform !== "linux" || !(await works("apt-get", ["--version"])) || !(await works("dpkg", ["--version"]))) return null;
  say("no Redis on this machine: fetching it from the system's package source");
  if (await unpack(folder, [])) return inspect(folder);
  say("refreshing the package lists (up to half a minute)");
  const lists = privateLists(folder);
  if ((await works("apt-get", [...lists, "update", "-qq"])) && (await unpack(folder, lists))) return inspect(folder);
  if (process.getuid?.() !== 0) return null;
  const quiet = { DEBIAN_FRONTEND: "noninteractive" };
  if (!(await works("apt-get", ["install", "-y", "-qq", "--no-install-recommends", "redis-server"], quiet))) return null;
  const version = await redisVersion("/usr/bin/redis-server");
  return version === null || !isRecentEnough(version) ? null : { path: "/usr/bin/redis-server", version, env: {} };
}

async function works(program: string, args: string[], env: Record<string, string> = {}, cwd = "/"): Promise<boolean> {
  try {
    await run(program, args, { cwd, timeout: TIMEOUT_MS, env: { ...process.env, LC_ALL: "C", ...env } });
    return true;
  } catch {
    return false; // the caller has another way, and in the end one sentence for the person
  }
}

/** apt's state in a folder of ours: package lists can be refreshed by anybody. */
function privateLists(folder: string): string[] {
  const state = join(folder, "apt");
  for (const sub of ["lists/partial", "cache/archives/partial"]) mkdirSync(join(state, sub), { recursive: true });
  return ["-o", `Dir::State::lists=${join(state, "lists")}`, "-o", `Dir::Cache=${join(state, "cache")}`];
}

async function unpack(folder: string, options: string[]): Promise<boolean> {
  const downloads = join(folder, "deb");
  rmSync(downloads, { recursive: true, force: true });
  mkdirSync(downloads, { recursive: true });
  const packages = ["redis-server", "redis-tools", ...(await missingLibraries(options))];
  // Root's apt drops to its own user `_apt` for downloads, who may not enter this folder: then it warns and stays root
  const sandbox = ["-o", "APT::Sandbox::User=root"];
  if (!(await works("apt-get", [...options, ...sandbox, "download", ...packages], {}, downloads))) return false;
  for (const file of readdirSync(downloads).filter((name) => name.endsWith(".deb"))) {
    if (!(await works("dpkg", ["-x", file, join(folder, "root")], {}, downloads))) return false;
  }
  rmSync(downloads, { recursive: true, force: true });
  return true;
}

/** Libraries that redis-tools needs and this machine lacks. */
async function missingLibraries(options: string[]): Promise<string[]> {
  const flags = ["--recurse", "--no-recommends", "--no-suggests", "--no-conflicts", "--no-breaks", "--no-replaces", "--no-enhances"];
  try {
    const { stdout } = await run("apt-cache", [...options, "depends", ...flags, "redis-tools"], { timeout: TIMEOUT_MS });
    const names = new Set(stdout.split("\n").filter((line) => /^(lib|lua)[^:]*$/.test(line)));
    const missing: string[] = [];
    for (const name of names) if (!(await isInstalled(name))) missing.push(name);
    return missing;
  } catch {
    return []; // no lists yet: the download that follows fails and the lists are refreshed
  }
}

async function isInstalled(name: string): Promise<boolean> {
  try {
    const { stdout } = await run("dpkg-query", ["-W", "-f", "${db:Status-Status}", name]);
    return stdout.trim() === "installed";
  } catch {
    return false;
  }
}

async function inspect(folder: string): Promise<RedisProgram | null> {
  const path = join(folder, "root/usr/bin/redis-server");
  if (!existsSync(path)) return null;
  const libraries = globSync(join(folder, "root/{usr/,}lib/*-linux-gnu"));
  const env = { LD_LIBRARY_PATH: libraries.join(":") };
  const version = await redisVersion(path, env);
  return version !== null && isRecentEnough(version) ? { path, version, env } : null;
}
