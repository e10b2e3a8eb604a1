import { readFileSync } from "node:fs";
import { z } from "zod";

/** A line of our structured log, as far as a person needs it. */
const LogLine = z.object({ msg: z.string(), err: z.object({ message: z.string() }).optional() });

/** Longer than any sentence; a stack trace belongs in the log. */
const MAX_CHARACTERS = 500;

/** What an application said last about its trouble: the last line of its log that speaks of some, else the last line. */
export function lastWords(logFile: string): string {
  const lines = readFileSync(logFile, "utf8").trim().split("\n");
  const line = lines.findLast((one) => /error|must|cannot|could not|taken/i.test(one)) ?? lines.at(-1) ?? "";
  return plain(line).slice(0, MAX_CHARACTERS);
}

function plain(line: string): string {
  try {
    const { msg, err } = LogLine.parse(JSON.parse(line));
    return err === undefined ? msg : `${msg}: ${err.message}`;
  } catch {
    return line; // not structured: it is text already
  }
}
