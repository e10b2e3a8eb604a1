import { constants } from "node:fs";
import { type FileHandle, mkdir, open, readlink, realpath, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { errnoOf, OperationError, operationErrorFrom } from "./operation-error.ts";

/**
 * Keeps file operations inside the workspace when symlinks try to lead out. For the local provider this decides only what is said
 * (nothing of the host can be reached from inside anyway); for the virtual one it is the wall.
 */
export interface Workspace {
  /** The workspace folder with all symlinks resolved. */
  root: string;
}

const isInside = (root: string, path: string): boolean => path === root || path.startsWith(`${root}/`);

const outside = (path: string): OperationError =>
  new OperationError("path_outside_workspace", `The path leads out of the workspace: ${path}`);

/** The real path of what exists, joined with the names of what does not. */
const realPathOfMaybe = async (path: string): Promise<string> => {
  try {
    return await realpath(path);
  } catch (error) {
    if (errnoOf(error) !== "ENOENT" || dirname(path) === path) throw error;
    return join(await realPathOfMaybe(dirname(path)), basename(path));
  }
};

/**
 * Where a path of the workspace really is, symlinks followed; the last segments need not exist.
 * @param path relative to the workspace
 */
export const locate = async (workspace: Workspace, path: string): Promise<string> => {
  const full = join(workspace.root, path);
  if (!isInside(workspace.root, full)) throw outside(path);
  try {
    const real = await realPathOfMaybe(full);
    if (!isInside(workspace.root, real)) throw outside(path);
    return real;
  } catch (error) {
    throw operationErrorFrom(error, path);
  }
};

/** The same for what has to be a folder. */
export const locateFolder = async (workspace: Workspace, path: string): Promise<string> => {
  const located = await locate(workspace, path);
  const stats = await stat(located).catch((error: unknown) => {
    throw operationErrorFrom(error, path);
  });
  if (!stats.isDirectory()) throw new OperationError("not_a_directory", `This is not a folder: ${path}`);
  return located;
};

/** The same for the entry itself: its folder is resolved, a symlink at the end is not followed. */
export const locateEntry = async (workspace: Workspace, path: string): Promise<string> => {
  if (path === "") return workspace.root;
  const folder = await locate(workspace, dirname(path) === "." ? "" : dirname(path));
  return join(folder, basename(path));
};

/** Makes the folders above a located path, and makes sure that nobody has bent one of them meanwhile. */
export const makeParents = async (workspace: Workspace, located: string, path: string): Promise<void> => {
  try {
    await mkdir(dirname(located), { recursive: true });
    if (!isInside(workspace.root, await realpath(dirname(located)))) throw outside(path);
  } catch (error) {
    // Something on the way up is a file.
    if (errnoOf(error) === "EEXIST") throw new OperationError("not_a_directory", `A file is in the way: ${path}`);
    throw operationErrorFrom(error, path);
  }
};

/**
 * Opens a located path. The name is not trusted a second time: the last segment must not be a symlink now, and what was opened must
 * still be inside (checked on Linux, where the kernel can be asked what a descriptor is).
 * Never blocks, so that a FIFO cannot take a thread of the pool hostage.
 */
export const openLocated = async (
  workspace: Workspace,
  located: string,
  path: string,
  flags: number,
): Promise<FileHandle> => {
  let handle: FileHandle;
  try {
    handle = await open(located, flags | constants.O_NOFOLLOW | constants.O_NONBLOCK, 0o600);
  } catch (error) {
    throw operationErrorFrom(error, path);
  }
  if (process.platform !== "linux") return handle;
  try {
    if (!isInside(workspace.root, await readlink(`/proc/self/fd/${handle.fd}`))) throw outside(path);
    return handle;
  } catch (error) {
    await handle.close();
    throw operationErrorFrom(error, path);
  }
};
