import { createHash } from "node:crypto";
import { join } from "node:path";
import { openSecrets } from "../auth/secrets.ts";
import type { StackSettings } from "../settings.ts";
import type { Progress } from "../terminal/progress.ts";
import { startApiAndWorkers, startHelpers } from "./applications.ts";
import { choosePreviews } from "./choose-previews.ts";
import { allSettledOrThrow, createClosers, type Closers } from "./closers.ts";
import { ensureDemoUser } from "./demo-user.ts";
import { chooseModelEndpoint } from "./model-endpoint.ts";
import { openHome, type Home } from "./open-home.ts";
import { type PreparedDatabase, prepareDatabase } from "./prepare-database.ts";
import type { Addresses } from "./process-plans.ts";
import { removeStackFile, type StackFile, writeStackFile } from "./stack-file.ts";
import { openStores, type Stores } from "./stores.ts";

export type Stack = {
  /** what stack.json says now */
  describe: () => StackFile;
  /** Everything ends in order, in less than 5 s. */
  stop: () => Promise<void>;
};

export type StackDeps = {
  settings: StackSettings;
  environment: Record<string, string | undefined>;
  /** the checkout */
  root: string;
  progress: Progress;
  /** gives up a start that is under way */
  signal: AbortSignal;
};

type Opening = StackDeps & { closers: Closers; home: Home };

/**
 * Brings the whole stack up and returns when it answers. If a part fails, or `signal` aborts, everything that was started is
 * stopped again before the failure is thrown (a `StackError` is a sentence for the person).
 */
export async function startStack(deps: StackDeps): Promise<Stack> {
  const closers = createClosers();
  try {
    const home = await openHome(deps.settings, closers);
    const opening = { ...deps, closers, home };
    const stores = await openStores(opening);
    deps.signal.throwIfAborted();
    const database = await prepare(opening, stores);
    const at = await addresses(opening, stores, database);
    await startHelpers(opening, at);
    deps.signal.throwIfAborted();
    const keys = deps.settings.supabase ?? openSecrets(join(home.folder, "auth"));
    const [user] = await allSettledOrThrow<[StackFile["demo_user"], void]>([
      demoUser(opening, at, keys.secretKey),
      startApiAndWorkers(opening, at),
    ]);
    const describe = (): StackFile => ({
      api_url: `http://127.0.0.1:${at.ports.api}`,
      web_url: null,
      preview_url: at.previews.url,
      supabase_url: at.supabaseUrl,
      supabase_anon_key: keys.publishableKey,
      database_url: at.ownerUrl,
      redis_url: at.redisUrl,
      demo_user: user,
      supervisor_pid: process.pid,
      processes: home.roster.running(),
    });
    publish(opening, describe);
    return { describe, stop: closers.closeAll };
  } catch (error) {
    await closers.closeAll();
    throw error;
  }
}

function prepare({ settings, environment, root, progress, home }: Opening, stores: Stores): Promise<PreparedDatabase> {
  return progress.part("database", async (detail) => {
    const prepared = await prepareDatabase({
      ownerUrl: stores.databaseUrl,
      isSupabase: settings.supabase !== null,
      supabaseFolder: join(root, "supabase"),
      dataFolder: settings.databaseUrl === null ? join(settings.home, "postgres") : null,
      rolePasswords: {
        cortex_api: environment["CORTEX_API_DB_PASSWORD"] || home.secret("cortex-api"),
        cortex_worker: environment["CORTEX_WORKER_DB_PASSWORD"] || home.secret("cortex-worker"),
      },
    });
    const count = prepared.migrationsApplied;
    detail(count === 0 ? "up to date" : `${count} migration${count === 1 ? "" : "s"} applied`);
    return prepared;
  });
}

async function addresses(opening: Opening, stores: Stores, database: PreparedDatabase): Promise<Addresses> {
  const { settings, environment, root, home } = opening;
  return {
    root,
    home: settings.home,
    ports: settings.ports,
    ownerUrl: stores.databaseUrl,
    apiDatabaseUrl: database.apiUrl,
    workerDatabaseUrl: database.workerUrl,
    redisUrl: stores.redisUrl,
    supabaseUrl: settings.supabase?.url ?? `http://127.0.0.1:${settings.ports.supabase}`,
    ownAuth: settings.supabase === null,
    streamTicketSecret: environment["STREAM_TICKET_SECRET"] || home.secret("stream-tickets"),
    secretsKeys: environment["SECRETS_KEYS"] || keyFrom(home.secret("secrets-key")),
    previews: {
      ...(await choosePreviews(settings, environment)),
      secret: environment["PREVIEW_SECRET"] || home.secret("previews"),
    },
    model: await chooseModelEndpoint(settings.model, environment),
  };
}

/** Null for a project of Supabase whose secret key is not known here: then people sign in as themselves. */
async function demoUser({ home }: Opening, at: Addresses, secretKey: string | null): Promise<StackFile["demo_user"]> {
  if (secretKey === null) return null;
  return ensureDemoUser({ supabaseUrl: at.supabaseUrl, secretKey, password: home.secret("demo-user") });
}

/** stack.json is there while the stack is, and follows restarts. */
function publish({ settings, home, closers }: Opening, describe: () => StackFile): void {
  const write = (): void => writeStackFile(settings.home, describe());
  write();
  home.roster.onChange(write);
  closers.add(() => {
    home.roster.onChange(() => {});
    removeStackFile(settings.home);
  });
}

/** A key as long as the cipher wants it, out of a secret of any length. */
const keyFrom = (secret: string): string => `local:${createHash("sha256").update(secret).digest("base64")}`;
