import { AuthFailure } from "./failure.ts";

/** Milliseconds of each unit of Go's durations, which hosted takes ("24h", "1h30m", "90s"). */
const UNITS: Record<string, number> = { ns: 1e-6, us: 1e-3, µs: 1e-3, ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** The latest time Postgres and JavaScript can both say, so that "for ever" stays a date. */
const END_OF_TIME = new Date("9999-12-31T00:00:00Z");

/** When a ban ends; null for "none". @throws AuthFailure `validation_failed` */
export function banEnd(duration: string, now: Date): Date | null {
  if (duration === "none") return null;
  const parts = [...duration.matchAll(/(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)/g)];
  if (parts.length === 0 || parts.map(([part]) => part).join("") !== duration) {
    throw new AuthFailure(400, "validation_failed", `invalid format for ban duration: "${duration.slice(0, 32)}"`);
  }
  const total = parts.reduce((sum, [, amount, unit]) => sum + Number(amount) * (UNITS[unit ?? ""] ?? 0), 0);
  const end = new Date(Math.min(now.getTime() + total, END_OF_TIME.getTime()));
  return total === 0 ? null : end;
}
