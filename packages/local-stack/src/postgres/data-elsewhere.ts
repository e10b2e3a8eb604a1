import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { z } from "zod";
import type { RunAs } from "./run-as.ts";

/*
 * Root's Postgres runs as another user. Where that user cannot reach the data home (a checkout in /root, a 0700 temporary
 * folder), the cluster lives under /var/lib, and a link in the home says where. A note beside the cluster says which link.
 */

const PLACE = "/var/lib";
const PREFIX = "cortex-postgres-data-";

/** `device` is that of the folder with the link: a link that is gone because its disk is not mounted is not gone. */
const Note = z.object({ link: z.string(), device: z.number() });

/** Makes an empty folder for a cluster that `as` can use, and the link to it. Clears away those that nobody links to any more. */
export function dataElsewhere(link: string, as: RunAs): string {
  sweepAbandoned(PLACE);
  const folder = mkdtempSync(join(PLACE, PREFIX));
  chmodSync(folder, 0o755);
  const data = join(folder, "data");
  mkdirSync(data);
  if (as.uid !== undefined) chownSync(data, as.uid, as.gid ?? as.uid);
  const note: z.infer<typeof Note> = { link, device: statSync(dirname(link)).dev };
  writeFileSync(join(folder, "home.json"), JSON.stringify(note));
  symlinkSync(data, link);
  return data;
}

/** Whoever removes a data home removes its link; the cluster behind it would stay for ever. */
export function sweepAbandoned(place: string): void {
  for (const name of readdirSync(place).filter((one) => one.startsWith(PREFIX))) {
    const folder = join(place, name);
    if (isAbandoned(folder)) rmSync(folder, { recursive: true, force: true });
  }
}

function isAbandoned(folder: string): boolean {
  const data = join(folder, "data");
  const note = readNote(join(folder, "home.json"));
  if (note === null || existsSync(join(data, "postmaster.pid"))) return false;
  const link = lstatSync(note.link, { throwIfNoEntry: false });
  if (link !== undefined) return !(link.isSymbolicLink() && readlinkSync(note.link) === data);
  return statSync(nearestFolder(note.link)).dev === note.device;
}

function readNote(file: string): z.infer<typeof Note> | null {
  try {
    return Note.parse(JSON.parse(readFileSync(file, "utf8")));
  } catch {
    return null; // not ours to judge
  }
}

/** The nearest folder above that still exists. */
function nearestFolder(path: string): string {
  const above = dirname(path);
  return existsSync(above) || above === path ? above : nearestFolder(above);
}
