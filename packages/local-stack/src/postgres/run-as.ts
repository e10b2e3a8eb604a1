import { spawnSync } from "node:child_process";
import { statSync } from "node:fs";
import { StackError } from "../stack-error.ts";

/** Under whom Postgres runs: empty means "as we do". Postgres refuses to run as root. */
export type RunAs = { uid?: number; gid?: number };

/**
 * Root hands Postgres to `nobody`, who exists on every Linux and macOS, or to whoever owns an existing data folder.
 * Everybody else runs it as themselves.
 */
export function chooseUser(dataDir: string): RunAs {
  if (process.getuid?.() !== 0) return {};
  const owner = statSync(dataDir, { throwIfNoEntry: false });
  if (owner !== undefined && owner.uid !== 0) return { uid: owner.uid, gid: owner.gid };
  const id = (flag: "-u" | "-g"): number => {
    const { stdout, status } = spawnSync("id", [flag, "nobody"], { encoding: "utf8" });
    if (status !== 0) {
      throw new StackError(
        "start_failed",
        "PostgreSQL cannot run as root and there is no user `nobody`: run this as a normal user.",
      );
    }
    return Number(stdout.trim());
  };
  return { uid: id("-u"), gid: id("-g") };
}

/** Can that user enter (and, if asked, write to) the folder? Asked by trying: mode bits alone do not know about ACLs. */
export function canUse(folder: string, as: RunAs, want: "enter" | "write"): boolean {
  const script = want === "write" ? 'cd "$0" && test -w .' : 'cd "$0"';
  return spawnSync("/bin/sh", ["-c", script, folder], { ...as, cwd: "/", stdio: "ignore" }).status === 0;
}
