import { type Logger as PinoLogger, pino } from "pino";
import { createMask } from "./mask.ts";

/** Structured JSON lines on stdout. Pass ids and facts as fields, never inside the sentence. */
export type Logger = PinoLogger;

export interface LoggerOptions {
  /** The process: `api`, `worker`, … */
  name: string;
  level: "trace" | "debug" | "info" | "warn" | "error" | "fatal" | "silent";
  /** Keys that this process holds: no line has them, whoever put them there. An error page that repeats what it was sent does. */
  secrets?: readonly (string | undefined)[];
}

/** As a value stands in a line of JSON. */
const inJson = (value: string | undefined): string | undefined =>
  value === undefined ? undefined : JSON.stringify(value).slice(1, -1);

/** Header and body fields that must never reach a log, wherever they stand (invariant I11). */
const secretPaths = ["authorization", "password", "token", "apiKey", "api_key", "secret", "cookie", "ticket"].flatMap(
  (name) => [name, `*.${name}`, `*.*.${name}`],
);

/**
 * The logger of a process: one per process, made in `main.ts`, handed down.
 * @param destination where each line goes; default: stdout
 */
export const createLogger = (options: LoggerOptions, destination?: { write(line: string): void }): Logger => {
  const mask = createMask((options.secrets ?? []).map(inJson));
  const settings = {
    name: options.name,
    level: options.level,
    redact: { paths: secretPaths, censor: "[redacted]" },
    timestamp: pino.stdTimeFunctions.isoTime,
    hooks: { streamWrite: mask },
  };
  return destination ? pino(settings, destination) : pino(settings);
};

/** A logger that says nothing, for code under test. */
export const silentLogger = (): Logger => pino({ level: "silent" });
