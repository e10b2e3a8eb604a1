import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { chown, mkdir, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { SandboxError } from "../port/errors.ts";
import { removeTree } from "./remove-tree.ts";

/** What belongs to one sandbox on this machine. */
export interface SandboxFolder {
  id: string;
  /** The files of the user; /workspace inside. */
  workspace: string;
  /** Caches and settings of the programs inside; their home folder. */
  home: string;
  /** Who runs it now (holders.ts). */
  holders: string;
}

const Description = z.object({ id: z.uuid(), labels: z.record(z.string(), z.string()), created_at: z.string() });

const descriptionFile = "sandbox.json";
const deletedFolder = ".deleted";

const hasCode = (error: unknown, ...codes: string[]): boolean =>
  error instanceof Error && "code" in error && typeof error.code === "string" && codes.includes(error.code);

/**
 * The folder in which this machine keeps its sandboxes. A sandbox exists if its folder does: it appears and disappears by a rename, so
 * nobody ever meets half of one, and whoever starts a process over it notices afterwards if it was deleted meanwhile.
 */
export class SandboxHome {
  readonly #root: string;

  constructor(root: string) {
    this.#root = root;
  }

  /** @throws SandboxError `invalid_argument` if the id is not a uuid: it becomes part of a path */
  folder(id: string): SandboxFolder {
    if (!z.uuid().safeParse(id).success) throw new SandboxError("invalid_argument", "A sandbox id is a uuid.");
    return this.#folderAt(id, join(this.#root, id));
  }

  exists(folder: SandboxFolder): boolean {
    return existsSync(folder.holders);
  }

  /** Makes the folder; one that exists is fine. @param owner whom the workspace belongs to, null for ourselves */
  async create(id: string, labels: Readonly<Record<string, string>>, owner: number | null): Promise<SandboxFolder> {
    const folder = this.folder(id);
    if (this.exists(folder)) return folder;
    const draft = join(this.#root, `.new-${randomUUID()}`);
    const drafted = this.#folderAt(id, draft);
    // Open to pass through, not to look around: a sandbox's own uid has to reach its workspace.
    await mkdir(draft, { recursive: true, mode: 0o711 });
    await mkdir(drafted.holders, { mode: 0o700 });
    for (const path of [drafted.workspace, drafted.home]) {
      await mkdir(path, { mode: 0o700 });
      if (owner !== null) await chown(path, owner, owner);
    }
    const description = { id, labels, created_at: new Date().toISOString() };
    await writeFile(join(draft, descriptionFile), JSON.stringify(description), { mode: 0o600 });
    try {
      await rename(draft, join(this.#root, id));
    } catch (error) {
      // Somebody else has made it meanwhile: theirs is as good.
      await rm(draft, { recursive: true, force: true });
      if (!hasCode(error, "ENOTEMPTY", "EEXIST")) throw error;
    }
    return folder;
  }

  /** Takes the sandbox out of sight. @returns what is left to be removed, null if there was nothing */
  async takeAway(id: string): Promise<SandboxFolder | null> {
    this.folder(id);
    const away = join(this.#root, deletedFolder, `${id}-${randomUUID()}`);
    await mkdir(join(this.#root, deletedFolder), { recursive: true, mode: 0o700 });
    try {
      await rename(join(this.#root, id), away);
    } catch (error) {
      if (hasCode(error, "ENOENT")) return null;
      throw error;
    }
    return this.#folderAt(id, away);
  }

  /** What a crash left taken away but not removed. */
  async *takenAway(): AsyncGenerator<SandboxFolder, void, undefined> {
    for (const name of await this.#names(deletedFolder)) {
      yield this.#folderAt(name.slice(0, 36), join(this.#root, deletedFolder, name));
    }
  }

  /** Removes what was taken away; none of its processes may be alive. The user's files are removed with no more rights than the user had. */
  async removeTakenAway(folder: SandboxFolder): Promise<void> {
    for (const path of [folder.workspace, folder.home]) {
      const owner = await stat(path).catch(() => null);
      if (owner !== null) await removeTree(path, { uid: owner.uid, gid: owner.gid });
    }
    await rm(join(folder.holders, ".."), { recursive: true, force: true });
  }

  async *list(): AsyncGenerator<{ folder: SandboxFolder; labels: Record<string, string> }, void, undefined> {
    for (const name of await this.#names(".")) {
      if (name.startsWith(".")) continue;
      const text = await readFile(join(this.#root, name, descriptionFile), "utf8").catch(() => null);
      if (text === null) continue;
      const description = Description.parse(JSON.parse(text));
      yield { folder: this.folder(description.id), labels: description.labels };
    }
  }

  #folderAt(id: string, path: string): SandboxFolder {
    return { id, workspace: join(path, "workspace"), home: join(path, "home"), holders: join(path, "holders") };
  }

  async #names(below: string): Promise<string[]> {
    try {
      return await readdir(join(this.#root, below));
    } catch (error) {
      if (hasCode(error, "ENOENT")) return [];
      throw error;
    }
  }
}
