import { constants, linkSync, lstatSync, renameSync, rmdirSync, unlinkSync } from "node:fs";
import { chmod, type FileHandle, lstat, mkdir, readdir, stat, unlink } from "node:fs/promises";
import { join } from "node:path";
import { Arguments } from "./arguments.ts";
import type { Handler } from "./calls.ts";
import { locate, makeParents, openLocated, type Workspace } from "./confine.ts";
import { entryOf, etagOf, lstatOrNull, unfinishedFolder } from "./entries.ts";
import { errnoOf, OperationError, operationErrorFrom } from "./operation-error.ts";

interface Unfinished {
  handle: FileHandle;
  located: string;
}

/** Unique by all likelihood, and opened only if it is. Not from node:crypto, whose loading would be a fifth of the agent's start. */
const uniqueName = (): string => Math.random().toString(36).slice(2) + performance.now().toString(36).replace(".", "");

/** The folder is removed by whoever finishes last, so it may vanish between being made and being used; more often than this, it cannot. */
const maxTries = 20;

const openUnfinished = async (workspace: Workspace, path: string): Promise<Unfinished> => {
  const folder = join(workspace.root, unfinishedFolder);
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL;
  for (let attempt = 1; ; attempt++) {
    await mkdir(folder, { mode: 0o700 }).catch((error: unknown) => {
      if (errnoOf(error) !== "EEXIST") throw operationErrorFrom(error, path);
    });
    if (!(await lstatOrNull(folder, path))?.isDirectory()) {
      if (attempt < maxTries) continue;
      throw new OperationError("file_exists", `Something is in the way: ${unfinishedFolder}`);
    }
    const located = join(folder, uniqueName());
    try {
      return { handle: await openLocated(workspace, located, path, flags), located };
    } catch (error) {
      if (!(error instanceof OperationError) || error.reason !== "file_not_found" || attempt >= maxTries) throw error;
    }
  }
};

const removeFolderIfEmpty = (workspace: Workspace): void => {
  try {
    rmdirSync(join(workspace.root, unfinishedFolder));
  } catch (error) {
    // Another write is under way (not empty), or its end removed the folder before us.
    if (!["ENOTEMPTY", "EEXIST", "ENOENT"].includes(errnoOf(error) ?? "")) throw error;
  }
};

const writeAll = async (handle: FileHandle, bytes: Uint8Array): Promise<void> => {
  for (let at = 0; at < bytes.length;) at += (await handle.write(bytes, at)).bytesWritten;
};

interface WriteArguments {
  path: string;
  ifExists: "replace" | "fail";
  ifMatch: string | null;
  mode: number | null;
}

const argumentsOf = (args: unknown): WriteArguments => {
  const values = new Arguments(args);
  return {
    path: values.text("path"),
    ifExists: values.text("if_exists") === "fail" ? "fail" : "replace",
    ifMatch: values.textOrNull("if_match"),
    mode: values.countOrNull("mode"),
  };
};

/**
 * Puts the finished file in its place. No other call of this agent can come between the check and the act, because both are synchronous;
 * `fail` is exact even between two agents, because a link never replaces.
 */
const publish = (finished: string, target: string, input: WriteArguments): void => {
  const current = lstatSync(target, { bigint: true, throwIfNoEntry: false });
  if (current !== undefined && !current.isFile() && !current.isSymbolicLink()) {
    throw new OperationError("not_a_file", `This is not a file: ${input.path}`);
  }
  if (input.ifMatch !== null && (current === undefined || etagOf(current) !== input.ifMatch)) {
    throw new OperationError("file_changed", `The file has changed since it was read: ${input.path}`);
  }
  if (input.ifExists === "fail") {
    linkSync(finished, target);
    unlinkSync(finished);
  } else {
    renameSync(finished, target);
  }
};

/** Writes the whole body beside the workspace's files and then puts it in place at once: no reader ever sees a part. */
export const writeFile =
  (workspace: Workspace): Handler =>
  async ({ args, signal, body }) => {
    const input = argumentsOf(args);
    const { path } = input;
    if (path === "") throw new OperationError("not_a_file", "The workspace is a folder.");
    const target = await locate(workspace, path);
    const current = await lstatOrNull(target, path);
    if (current !== null && input.ifExists === "fail") {
      throw new OperationError("file_exists", `There is already a file or folder of that name: ${path}`);
    }
    if (current?.isDirectory()) throw new OperationError("not_a_file", `This is a folder: ${path}`);
    await makeParents(workspace, target, path);

    const unfinished = await openUnfinished(workspace, path);
    try {
      for await (const chunk of body) await writeAll(unfinished.handle, chunk);
      if (signal.aborted) throw new OperationError("invalid_argument", "The write was cancelled.");
      const mode = input.mode ?? (current?.isFile() ? Number(current.mode) : 0o644);
      await unfinished.handle.close();
      // By its name: Node's permission model, under which this runs in a virtual sandbox, knows no fchmod.
      await chmod(unfinished.located, mode & 0o777);
      publish(unfinished.located, target, input);
      return entryOf(path, await stat(target, { bigint: true }));
    } catch (error) {
      throw operationErrorFrom(error, path);
    } finally {
      await unfinished.handle.close();
      await unlink(unfinished.located).catch((error: unknown) => {
        if (errnoOf(error) !== "ENOENT") throw operationErrorFrom(error, path);
      });
      removeFolderIfEmpty(workspace);
    }
  };

/**
 * Removes what writes left behind whose agent was killed. An open write touches its file with every chunk, so one that has been still
 * for so long has no writer: longer than any host keeps a silent upload (minutes).
 */
const abandonedAfterMs = 60 * 60 * 1000;

export const removeAbandonedWrites = async (workspace: Workspace): Promise<void> => {
  const folder = join(workspace.root, unfinishedFolder);
  try {
    for (const name of await readdir(folder)) {
      const { mtimeMs } = await lstat(join(folder, name));
      if (Date.now() - mtimeMs > abandonedAfterMs) await unlink(join(folder, name));
    }
    removeFolderIfEmpty(workspace);
  } catch (error) {
    // Nothing was left, or another agent cleans up as well, or the user put something of his own there.
    if (!["ENOENT", "ENOTDIR", "EISDIR", "EPERM"].includes(errnoOf(error) ?? "")) throw error;
  }
};
