import type { Handler } from "./calls.ts";
import { makeFolder, moveEntry, removeEntry, setMode } from "./change-files.ts";
import type { Workspace } from "./confine.ts";
import { connectPort } from "./connect-port.ts";
import { listEntries, statEntry } from "./entries.ts";
import { readFile } from "./read-file.ts";
import { searchFiles } from "./search-files.ts";
import { writeFile } from "./write-file.ts";

/** Everything an agent does, by the name it has on the wire. The files are the same everywhere; how a command runs is not. */
export const operations = (workspace: Workspace, exec: Handler): Record<string, Handler> => ({
  exec,
  connect: connectPort,
  read: readFile(workspace),
  write: writeFile(workspace),
  list: listEntries(workspace),
  stat: statEntry(workspace),
  mkdir: makeFolder(workspace),
  move: moveEntry(workspace),
  remove: removeEntry(workspace),
  set_mode: setMode(workspace),
  search: searchFiles(workspace),
});
