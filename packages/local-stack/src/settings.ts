import { resolve } from "node:path";
import { StackError } from "./stack-error.ts";

type Environment = Record<string, string | undefined>;

export type StackPorts = { api: number; web: number; supabase: number; postgres: number; redis: number };

/** A project of Supabase that exists already, hosted or not. Without the secret key there is no demo user. */
export type ExistingSupabase = { url: string; publishableKey: string | null; secretKey: string | null };

export type StackSettings = {
  /** absolute */
  home: string;
  ports: StackPorts;
  /** null: 8001, or another one if that is taken: nobody has to know it beforehand */
  previewPort: number | null;
  workers: number;
  /** null: the worker's own default */
  workerConcurrency: number | null;
  /** existing services instead of ours */
  databaseUrl: string | null;
  redisUrl: string | null;
  supabase: ExistingSupabase | null;
  model: "demo" | "openai" | "litellm";
};

/** Below the range from which systems take ports for outgoing connections (32768 and up), beside the usual 5432 and 6379. */
const DEFAULT_PORTS: Record<keyof StackPorts, [setting: string, port: number]> = {
  api: ["API_PORT", 8000],
  web: ["WEB_PORT", 3000],
  supabase: ["SUPABASE_PORT", 54321],
  postgres: ["POSTGRES_PORT", 15432],
  redis: ["REDIS_PORT", 16380],
};

/** Each worker is a process of 100 MB; more than this is a typing error. */
const MAX_WORKERS = 64;

/**
 * The settings of the local stack from environment variables. `root` is the checkout (home defaults to `.cortex` in it),
 * `cwd` is where the person stands. Error `bad_setting` names the variable and what it should be.
 */
export function readSettings(env: Environment, folders: { root: string; cwd: string }): StackSettings {
  const text = (name: string): string | null => env[name]?.trim() || null;
  const home = text("CORTEX_HOME");
  return {
    home: home === null ? resolve(folders.root, ".cortex") : resolve(folders.cwd, home),
    ports: readPorts(text),
    previewPort: wholeNumber("PREVIEW_PORT", text("PREVIEW_PORT"), { min: 1, max: 65_535 }),
    workers: wholeNumber("WORKERS", text("WORKERS"), { min: 1, max: MAX_WORKERS }) ?? 1,
    workerConcurrency: wholeNumber("WORKER_CONCURRENCY", text("WORKER_CONCURRENCY"), { min: 1, max: 1_000 }),
    databaseUrl: address("DATABASE_URL", text("DATABASE_URL"), ["postgres:", "postgresql:"]),
    redisUrl: address("REDIS_URL", text("REDIS_URL"), ["redis:", "rediss:"]),
    supabase: readSupabase(text),
    model: readModel(text),
  };
}

type Text = (name: string) => string | null;

function readPorts(text: Text): StackPorts {
  const read = (part: keyof StackPorts): number => {
    const [setting, fallback] = DEFAULT_PORTS[part];
    return wholeNumber(setting, text(setting), { min: 1, max: 65_535 }) ?? fallback;
  };
  const ports = {
    api: read("api"),
    web: read("web"),
    supabase: read("supabase"),
    postgres: read("postgres"),
    redis: read("redis"),
  };
  const owners = new Map<number, string>();
  for (const part of ["api", "web", "supabase", "postgres", "redis"] as const) {
    const [setting] = DEFAULT_PORTS[part];
    const other = owners.get(ports[part]);
    if (other !== undefined) throw bad(`${other} and ${setting} are both ${ports[part]}: give each a port of its own.`);
    owners.set(ports[part], setting);
  }
  return ports;
}

function wholeNumber(name: string, text: string | null, range: { min: number; max: number }): number | null {
  if (text === null) return null;
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < range.min || value > range.max) {
    throw bad(`${name} must be a whole number from ${range.min} to ${range.max}, not "${text}".`);
  }
  return value;
}

/** The value is left out of the sentence: it may hold a password. */
function address(name: string, text: string | null, protocols: string[]): string | null {
  if (text === null) return null;
  if (!URL.canParse(text) || !protocols.includes(new URL(text).protocol)) {
    throw bad(`${name} must be an address that begins with ${protocols.map((one) => `${one}//`).join(" or ")}.`);
  }
  return text;
}

function readSupabase(text: Text): ExistingSupabase | null {
  const url = address("SUPABASE_URL", text("SUPABASE_URL"), ["http:", "https:"]);
  if (url === null) return null;
  if (text("DATABASE_URL") === null) {
    throw bad("SUPABASE_URL needs DATABASE_URL too: users live in that project's own database.");
  }
  return {
    url: url.replace(/\/+$/, ""),
    publishableKey: text("SUPABASE_PUBLISHABLE_KEY") ?? text("SUPABASE_ANON_KEY"),
    secretKey: text("SUPABASE_SECRET_KEY") ?? text("SUPABASE_SERVICE_ROLE_KEY"),
  };
}

function readModel(text: Text): StackSettings["model"] {
  const litellm = address("LITELLM_BASE_URL", text("LITELLM_BASE_URL"), ["http:", "https:"]);
  if ((litellm === null) !== (text("LITELLM_API_KEY") === null)) {
    throw bad("LITELLM_BASE_URL and LITELLM_API_KEY belong together: set both, or neither.");
  }
  if (litellm !== null) return "litellm";
  return text("OPENAI_API_KEY") === null ? "demo" : "openai";
}

function bad(sentence: string): StackError {
  return new StackError("bad_setting", sentence);
}
