import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { systemErrorCode } from "../stack-error.ts";

/** What a running stack tells about itself, in `stack.json` of its data folder (0600: it holds passwords). */
export const StackFile = z.object({
  api_url: z.url(),
  /** null until the console exists */
  web_url: z.url().nullable(),
  /** where ports of sandboxes are shown, with `{label}` in it */
  preview_url: z.string().nullable(),
  supabase_url: z.url(),
  supabase_anon_key: z.string().nullable(),
  /** as the owner of the database */
  database_url: z.string(),
  redis_url: z.string(),
  /** null for a Supabase project of one's own whose secret key is not known here */
  demo_user: z.object({ email: z.string(), password: z.string() }).nullable(),
  supervisor_pid: z.number(),
  processes: z.array(z.object({ name: z.string(), pid: z.number() })),
});
export type StackFile = z.infer<typeof StackFile>;

export function stackFilePath(home: string): string {
  return join(home, "stack.json");
}

/** Whole or not at all: readers poll for it. */
export function writeStackFile(home: string, content: StackFile): void {
  const path = stackFilePath(home);
  const draft = `${path}.${process.pid}`;
  writeFileSync(draft, `${JSON.stringify(content, null, 2)}\n`, { mode: 0o600 });
  renameSync(draft, path);
}

export function removeStackFile(home: string): void {
  rmSync(stackFilePath(home), { force: true });
}

/** The file's content, or null when there is none. */
export function readStackFile(home: string): StackFile | null {
  try {
    return StackFile.parse(JSON.parse(readFileSync(stackFilePath(home), "utf8")));
  } catch (error) {
    if (systemErrorCode(error) === "ENOENT") return null;
    throw error;
  }
}
