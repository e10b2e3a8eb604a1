import { constants } from "node:fs";
import { access } from "node:fs/promises";
import { delimiter, isAbsolute, join } from "node:path";

/** Where root-only programs stand, which the search path of an ordinary user often leaves out. */
const systemFolders = ["/usr/bin", "/bin", "/usr/sbin", "/sbin"];

export const isExecutable = async (path: string): Promise<boolean> => {
  try {
    await access(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
};

/** The absolute path of a program, or null. @param searchPath the host's PATH */
export const findProgram = async (name: string, searchPath: string): Promise<string | null> => {
  for (const folder of [...searchPath.split(delimiter), ...systemFolders]) {
    const path = join(folder, name);
    if (isAbsolute(path) && (await isExecutable(path))) return path;
  }
  return null;
};
