import { chmod, link, mkdir, rename, rm, rmdir, unlink } from "node:fs/promises";
import { Arguments } from "./arguments.ts";
import type { Handler } from "./calls.ts";
import { locate, locateEntry, makeParents, type Workspace } from "./confine.ts";
import { lstatOrNull } from "./entries.ts";
import { errnoOf, OperationError, operationErrorFrom } from "./operation-error.ts";

export const makeFolder =
  (workspace: Workspace): Handler =>
  async ({ args }) => {
    const path = new Arguments(args).text("path");
    const located = await locate(workspace, path);
    try {
      await mkdir(located, { recursive: true });
      return null;
    } catch (error) {
      if (errnoOf(error) === "EEXIST") throw new OperationError("not_a_directory", `A file is in the way: ${path}`);
      throw operationErrorFrom(error, path);
    }
  };

export const moveEntry =
  (workspace: Workspace): Handler =>
  async ({ args }) => {
    const values = new Arguments(args);
    const from = values.text("from");
    const to = values.text("to");
    const overwrite = values.flag("overwrite");
    if (from === "" || to === "") throw new OperationError("invalid_argument", "The workspace itself cannot be moved.");
    const source = await locateEntry(workspace, from);
    const target = await locateEntry(workspace, to);
    const moved = await lstatOrNull(source, from);
    if (moved === null) throw new OperationError("file_not_found", `There is no such file or folder: ${from}`);
    if (target === source) return null;
    if (target.startsWith(`${source}/`)) {
      throw new OperationError("invalid_argument", "A folder cannot be moved into itself.");
    }
    await makeParents(workspace, target, to);
    const existing = await lstatOrNull(target, to);
    if (existing !== null && (!overwrite || existing.isDirectory() || moved.isDirectory())) {
      throw new OperationError("file_exists", `There is already a file or folder of that name: ${to}`);
    }
    try {
      if (moved.isFile() && !overwrite) {
        // A link never replaces: a file that another writer has put there since the check stays.
        await link(source, target);
        await unlink(source);
      } else {
        await rename(source, target);
      }
      return null;
    } catch (error) {
      throw operationErrorFrom(error, to);
    }
  };

export const removeEntry =
  (workspace: Workspace): Handler =>
  async ({ args }) => {
    const values = new Arguments(args);
    const path = values.text("path");
    if (path === "") throw new OperationError("invalid_argument", "The workspace itself cannot be removed.");
    const located = await locateEntry(workspace, path);
    const stats = await lstatOrNull(located, path);
    if (stats === null) throw new OperationError("file_not_found", `There is no such file or folder: ${path}`);
    try {
      if (!stats.isDirectory()) await unlink(located);
      else if (values.flag("recursive")) await rm(located, { recursive: true, maxRetries: 3 });
      else await rmdir(located);
      return null;
    } catch (error) {
      throw operationErrorFrom(error, path);
    }
  };

export const setMode =
  (workspace: Workspace): Handler =>
  async ({ args }) => {
    const values = new Arguments(args);
    const path = values.text("path");
    const located = await locate(workspace, path);
    try {
      // Not the set-uid bits: nothing in a workspace has a use for them.
      await chmod(located, values.count("mode") & 0o777);
      return null;
    } catch (error) {
      throw operationErrorFrom(error, path);
    }
  };
