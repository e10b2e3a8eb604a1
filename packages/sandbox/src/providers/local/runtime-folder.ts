import { execFile } from "node:child_process";
import { createHash, randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

const agentFolder = join(import.meta.dirname, "../../agent");
const stripTypes = join(import.meta.dirname, "strip-types.ts");

/** What every sandbox sees below /etc: enough for programs to know who they are and to resolve localhost. */
const etc: Readonly<Record<string, string>> = {
  passwd: "user:x:1000:1000:user:/home/user:/bin/bash\nnobody:x:65534:65534:nobody:/:/bin/false\n",
  group: "user:x:1000:\nnogroup:x:65534:\n",
  hosts: "127.0.0.1 localhost sandbox\n::1 localhost\n",
  "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
};
export const etcFiles: readonly string[] = Object.keys(etc);

/**
 * Makes the folder that all sandboxes share read-only: the agent as plain JavaScript, and the files of /etc.
 *
 * The types are stripped once and ahead, because an agent that strips them itself starts 35 ms later and holds 20 MB more, in every
 * sandbox. The folder is named for its content: another version of us makes another one, and a finished one is never changed.
 * @returns its path
 */
export const prepareRuntime = async (home: string): Promise<string> => {
  const names = (await readdir(agentFolder))
    .filter((name) => name.endsWith(".ts") && !name.endsWith(".test.ts"))
    .toSorted();
  const hash = createHash("sha256").update(process.version).update(JSON.stringify(etc));
  for (const name of names) hash.update(name).update(await readFile(join(agentFolder, name)));
  const folder = join(home, `runtime-${hash.digest("hex").slice(0, 16)}`);
  if (existsSync(folder)) return folder;

  const draft = join(home, `.runtime-${randomUUID()}`);
  await mkdir(join(draft, "etc"), { recursive: true, mode: 0o755 });
  await mkdir(join(draft, "agent"), { mode: 0o755 });
  for (const [name, text] of Object.entries(etc)) await writeFile(join(draft, "etc", name), text, { mode: 0o644 });
  await promisify(execFile)(
    process.execPath,
    ["--disable-warning=ExperimentalWarning", stripTypes, agentFolder, join(draft, "agent"), ...names],
    { env: {} },
  );
  try {
    await rename(draft, folder);
  } catch (error) {
    await rm(draft, { recursive: true, force: true });
    // Another process of ours was faster.
    if (!existsSync(folder)) throw error;
  }
  return folder;
};
