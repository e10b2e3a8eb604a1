import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { assertPortFree } from "../ports.ts";
import { secretFile } from "../secret-file.ts";
import type { StackSettings } from "../settings.ts";
import { startWatchdog } from "../supervision/watchdog.ts";
import type { Closers } from "./closers.ts";
import { lockHome, lockPath } from "./home-lock.ts";
import { createRoster, type Roster } from "./roster.ts";
import { removeStackFile, stackFilePath } from "./stack-file.ts";

export type Home = {
  folder: string;
  logs: string;
  roster: Roster;
  /** a secret of this stack, made at its first use */
  secret: (name: string) => string;
};

/**
 * Takes the data folder for this process and sets the watchdog, before anything runs. Ports that others listen on are said
 * here, where nothing has to be undone; Postgres and Redis look for themselves, because theirs may be orphans of ours.
 */
export async function openHome(settings: StackSettings, closers: Closers): Promise<Home> {
  const { home: folder, ports } = settings;
  const lock = await lockHome(folder);
  closers.add(lock.release);
  await assertPortFree(ports.api, "API_PORT", "the API");
  if (settings.supabase === null) await assertPortFree(ports.supabase, "SUPABASE_PORT", "the auth server");
  removeStackFile(folder); // of a start that crashed
  const logs = join(folder, "logs");
  mkdirSync(logs, { recursive: true });

  const watchdog = startWatchdog({ removeAtEnd: [stackFilePath(folder), lockPath(folder)] });
  closers.add(watchdog.close);
  if (watchdog.pid !== null) lock.recordWatchdog(watchdog.pid);
  const secret = (name: string): string => secretFile(join(folder, "secrets", name));
  return { folder, logs, roster: createRoster(watchdog, lock), secret };
}
