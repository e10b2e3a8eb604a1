/**
 * `npm run check:lock`: package-lock.json installs on every machine we promise. Plain JavaScript without imports of packages,
 * so that it runs on any Node before anything is installed.
 */
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

/** Spellings of the four promised platforms in package names: `-darwin-arm64`, `-linux-x64-gnu`, `/linux-64` (turbo). */
const PROMISED = /(darwin|linux)-(x64|64|arm64)(-gnu|-glibc)?$/;

/**
 * What is wrong with a parsed lock file, one sentence each. Two things go wrong unnoticed when the package index of the
 * machine that wrote the lock is partial or private:
 * - a platform's optional package is left out, and `npm ci` fails or a tool has no binary on that platform;
 * - entries hold the download address of that index, which nobody else reaches.
 *
 * @param {{ packages?: Record<string, { resolved?: string, optionalDependencies?: Record<string, string> }> }} lock
 * @returns {string[]}
 */
export function lockFindings(lock) {
  const entries = Object.entries(lock.packages ?? {});
  if (entries.length === 0) return ["the lock file lists no packages"];
  const names = new Set(entries.map(([path]) => path.split("node_modules/").pop()));
  return entries.flatMap(([path, entry]) => [
    ...Object.keys(entry.optionalDependencies ?? {})
      .filter((name) => PROMISED.test(name) && !names.has(name))
      .map(
        (name) =>
          `${path || "the root"}: its package for ${name.match(PROMISED)?.[0]} (${name}) is not in the lock file`,
      ),
    ...(entry.resolved?.startsWith("http") ? [`${path}: holds a download address`] : []),
  ]);
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const findings = lockFindings(JSON.parse(readFileSync("package-lock.json", "utf8")));
  for (const finding of findings) console.error(finding);
  if (findings.length > 0) process.exitCode = 1;
}
