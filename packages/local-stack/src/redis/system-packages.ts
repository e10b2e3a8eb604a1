import { execFile } from "node:child_process";
import { existsSync, globSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { isRecentEnough, redisVersion, type RedisProgram } from "./find-program.ts";

type Environment = Record<string, string | undefined>;

/** One way to call apt: its environment, and options that come before the command's own. */
type Apt = { env: Environment; options: string[]; signal: AbortSignal | undefined };

/** Downloads 1.4 MB in 3 s on an ordinary line; refreshing apt's lists takes up to 30 s. 180 s > both, on a slow one. */
const TIMEOUT_MS = 180_000;

/**
 * Redis from the system's own packages (Debian, Ubuntu): apt fetches the .deb files, so their signatures are checked, and
 * they are unpacked into `cacheDir`. Nothing is installed, no service is started, and no root is needed. Where apt has no
 * package lists, they are fetched into `cacheDir` too. 2–3 s, once. Null when this machine has no apt or its mirrors
 * cannot be reached; `say` hears what takes long.
 */
export async function fromSystemPackages(input: {
  cacheDir: string;
  environment: Environment;
  say: (line: string) => void;
  signal?: AbortSignal;
}): Promise<RedisProgram | null> {
  const { cacheDir, say } = input;
  const unpacked = await inspect(cacheDir);
  if (unpacked !== null) return unpacked;
  const env = { ...input.environment, LC_ALL: "C" };
  const { signal } = input;
  const system: Apt = { env, options: [], signal };
  if (process.platform !== "linux" || !(await works(system, "apt-get", ["--version"]))) return null;
  say("no Redis on this machine: fetching it from the system's package source");
  if (await unpack(cacheDir, system)) return inspect(cacheDir);
  say("refreshing the package lists (up to half a minute)");
  const own: Apt = { env, options: privateLists(cacheDir), signal };
  if ((await works(own, "apt-get", ["update", "-qq"])) && (await unpack(cacheDir, own))) return inspect(cacheDir);
  return null;
}

async function call(apt: Apt, program: string, args: string[], cwd: string): Promise<string> {
  const options = program.startsWith("apt-") ? apt.options : [];
  const limits = { cwd, timeout: TIMEOUT_MS, env: apt.env, ...(apt.signal && { signal: apt.signal }) };
  const done = await promisify(execFile)(program, [...options, ...args], limits);
  return done.stdout;
}

async function works(apt: Apt, program: string, args: string[], cwd = "/"): Promise<boolean> {
  try {
    await call(apt, program, args, cwd);
    return true;
  } catch {
    apt.signal?.throwIfAborted();
    return false; // the caller has another way, and in the end one sentence for the person
  }
}

/** apt's state in a folder of ours: so anybody can refresh the lists. */
function privateLists(cacheDir: string): string[] {
  const state = join(cacheDir, "apt");
  for (const sub of ["lists/partial", "cache/archives/partial"]) mkdirSync(join(state, sub), { recursive: true });
  return ["-o", `Dir::State::lists=${join(state, "lists")}`, "-o", `Dir::Cache=${join(state, "cache")}`];
}

async function unpack(cacheDir: string, apt: Apt): Promise<boolean> {
  const downloads = join(cacheDir, "deb");
  rmSync(downloads, { recursive: true, force: true });
  mkdirSync(downloads, { recursive: true });
  const packages = ["redis-server", "redis-tools", ...(await missingLibraries(apt))];
  // Root's apt drops to the user `_apt` for downloads, who may not be able to enter this folder
  const download = ["-o", "APT::Sandbox::User=root", "download", ...packages];
  if (!(await works(apt, "apt-get", download, downloads))) return false;
  for (const file of readdirSync(downloads).filter((name) => name.endsWith(".deb"))) {
    if (!(await works(apt, "dpkg", ["-x", file, join(cacheDir, "root")], downloads))) return false;
  }
  rmSync(downloads, { recursive: true, force: true });
  return true;
}

/** Libraries that redis-tools needs and this machine lacks. */
async function missingLibraries(apt: Apt): Promise<string[]> {
  const leaveOut = ["recommends", "suggests", "conflicts", "breaks", "replaces", "enhances"].map(
    (kind) => `--no-${kind}`,
  );
  try {
    const tree = await call(apt, "apt-cache", ["depends", "--recurse", ...leaveOut, "redis-tools"], "/");
    const libraries = new Set(tree.split("\n").filter((line) => /^(lib|lua)[^:]*$/.test(line)));
    const missing: string[] = [];
    for (const name of libraries) if (!(await isInstalled(apt, name))) missing.push(name);
    return missing;
  } catch {
    return []; // no lists yet: the download that follows fails, and the lists are refreshed
  }
}

async function isInstalled(apt: Apt, name: string): Promise<boolean> {
  try {
    return (await call(apt, "dpkg-query", ["-W", "-f", "${db:Status-Status}", name], "/")).trim() === "installed";
  } catch {
    return false; // dpkg does not know the name
  }
}

async function inspect(cacheDir: string): Promise<RedisProgram | null> {
  const path = join(cacheDir, "root/usr/bin/redis-server");
  if (!existsSync(path)) return null;
  const env = { LD_LIBRARY_PATH: globSync(join(cacheDir, "root/{usr/,}lib/*-linux-gnu")).join(":") };
  const version = await redisVersion(path, env);
  return version !== null && isRecentEnough(version) ? { path, version, env } : null;
}
