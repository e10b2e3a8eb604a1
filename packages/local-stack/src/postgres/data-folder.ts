import { execFile } from "node:child_process";
import {
  chownSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { promisify } from "node:util";
import { StackError, systemErrorCode } from "../stack-error.ts";
import { dataElsewhere } from "./data-elsewhere.ts";
import { canUse, type RunAs } from "./run-as.ts";

const POSTGRES_MAJOR = "17";

/**
 * Where the cluster really lives. Normally `path` itself. When the user that Postgres runs as cannot reach it (root
 * with a checkout in /root), a folder under /var/lib, and `path` becomes a link to it, so that the link alone says
 * where the data is, for as long as it exists.
 */
export function resolveDataDir(path: string, as: RunAs): string {
  const link = lstatSync(path, { throwIfNoEntry: false });
  if (link?.isSymbolicLink()) {
    if (statSync(path, { throwIfNoEntry: false }) === undefined) {
      throw new StackError(
        "data_folder",
        `${path} points to ${readlinkSync(path)}, which is gone: bring the data back, or remove ${path} to start empty.`,
      );
    }
    return realpathSync(path);
  }
  try {
    mkdirSync(dirname(path), { recursive: true });
    const parent = realpathSync(dirname(path));
    if (link !== undefined || as.uid === undefined || canUse(parent, as, "enter")) return join(parent, basename(path));
    return dataElsewhere(join(parent, basename(path)), as);
  } catch (error) {
    throw unwritable(dirname(path), error);
  }
}

function unwritable(folder: string, cause: unknown): StackError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new StackError(
    "data_folder",
    `The data folder ${folder} cannot be written (${why}): give this user the right to, or set CORTEX_HOME to another folder.`,
    { cause },
  );
}

/** "empty" (or missing), "ready", or a sentence about what is wrong with what stands there. */
export function inspectDataDir(dataDir: string): "empty" | "ready" {
  const entries = listIfThere(dataDir);
  if (entries === null || entries.length === 0) return "empty";
  if (!entries.includes("PG_VERSION")) {
    throw new StackError(
      "data_folder",
      `${dataDir} holds files but no PostgreSQL data: move them away, or set CORTEX_HOME to another folder.`,
    );
  }
  const major = readFileSync(join(dataDir, "PG_VERSION"), "utf8").trim();
  if (major !== POSTGRES_MAJOR) {
    throw new StackError(
      "data_folder",
      `${dataDir} was written by PostgreSQL ${major === "" ? "(unknown)" : major}, this is ${POSTGRES_MAJOR}: move the folder away, or set CORTEX_HOME to another one.`,
    );
  }
  for (const needed of ["global", "base", "pg_wal", "postgresql.conf"]) {
    if (!entries.includes(needed)) {
      throw new StackError(
        "data_folder",
        `The database in ${dataDir} is damaged (${needed} is missing): restore it from a backup, or remove the folder to start empty.`,
      );
    }
  }
  return "ready";
}

function listIfThere(folder: string): string[] | null {
  try {
    return readdirSync(folder);
  } catch (error) {
    if (systemErrorCode(error) === "ENOENT") return null;
    if (systemErrorCode(error) === "ENOTDIR") {
      throw new StackError(
        "data_folder",
        `${folder} is a file where the database's folder should be: move it away, or set CORTEX_HOME to another folder.`,
      );
    }
    throw unwritable(folder, error);
  }
}

/**
 * Makes a new cluster. `initdb` works in a folder of its own that gets its final name when it is complete: a run that
 * is killed half way leaves no cluster that looks whole.
 */
export async function createCluster(input: {
  initdb: string;
  dataDir: string;
  as: RunAs;
  password: string;
  env: NodeJS.ProcessEnv;
}): Promise<void> {
  const { dataDir, as } = input;
  const parent = dirname(dataDir);
  for (const name of readdirSync(parent)) {
    if (name.startsWith(`${basename(dataDir)}.new-`)) rmSync(join(parent, name), { recursive: true, force: true });
  }
  let draft: string;
  try {
    draft = mkdtempSync(`${dataDir}.new-`);
  } catch (error) {
    throw unwritable(parent, error);
  }
  try {
    const passwordFile = join(draft, "password");
    const cluster = join(draft, "data");
    writeFileSync(passwordFile, `${input.password}\n`, { mode: 0o600 });
    mkdirSync(cluster, { mode: 0o700 });
    if (as.uid !== undefined) {
      for (const path of [passwordFile, cluster, draft]) chownSync(path, as.uid, as.gid ?? as.uid);
    }
    const flags = [
      "-Upostgres",
      "--auth=scram-sha-256",
      "--encoding=UTF8",
      "--locale-provider=builtin",
      "--locale=C.UTF-8",
      "--no-instructions",
    ];
    await promisify(execFile)(input.initdb, [`-D${cluster}`, `--pwfile=${passwordFile}`, ...flags], {
      ...as,
      env: input.env,
      cwd: "/",
    });
    rmSync(dataDir, { recursive: true, force: true }); // empty, see inspectDataDir
    renameSync(cluster, dataDir);
  } catch (error) {
    throw explainInitdb(error, dataDir);
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
}

function explainInitdb(error: unknown, dataDir: string): StackError {
  const stderr = error instanceof Error && "stderr" in error ? String(error.stderr).trim() : "";
  if (stderr.includes("could not look up effective user ID")) {
    // containers that run as an arbitrary number
    const advice = "run as a user of this machine (or as root), or set DATABASE_URL to a PostgreSQL of yours";
    return new StackError(
      "start_failed",
      `PostgreSQL cannot run as user ${process.getuid?.()}, who has no name here: ${advice}.`,
    );
  }
  const why = stderr || (error instanceof Error ? error.message : String(error));
  return new StackError("start_failed", `A new database could not be made in ${dataDir} (${why}).`, { cause: error });
}
