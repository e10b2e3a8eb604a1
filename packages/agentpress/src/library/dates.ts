import { HelperError } from "./helper-error.ts";

/** An instant as ISO 8601 with an offset, or a local date or time (`2026-03-29`, `2026-03-29T02:30`), which is one in the zone. */
const readMoment = (text: string, zone: string): Temporal.ZonedDateTime => {
  const clean = text.trim();
  try {
    if (clean.includes("[")) return Temporal.ZonedDateTime.from(clean);
    if (/(?:Z|[+-]\d{2}:?\d{2})$/i.test(clean) && clean.includes("T")) {
      return Temporal.Instant.from(clean).toZonedDateTimeISO(zone);
    }
    return Temporal.PlainDateTime.from(clean).toZonedDateTime(zone);
  } catch (error) {
    throw new HelperError(
      `"${clean.slice(0, 60)}" in the zone "${zone.slice(0, 60)}" is no date (ISO 8601, for instance 2026-03-29T02:30 or ` +
        `2026-03-29T02:30:00+01:00) or no zone (for instance Europe/Berlin): ${error instanceof Error ? error.message : ""}`,
    );
  }
};

const weekdays = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

const described = (moment: Temporal.ZonedDateTime): string =>
  `${moment.toString({ smallestUnit: "second" })} (${weekdays[moment.dayOfWeek - 1] ?? ""}, day ${moment.dayOfYear} of the year, ` +
  `ISO week ${moment.weekOfYear ?? ""}), ${moment.toInstant().toString({ smallestUnit: "second" })}`;

/** A moment in a zone, with its weekday and its UTC time. @param to the zone to show it in */
export const convertDate = (input: { date: string; zone: string; to: string }): string => {
  try {
    return described(readMoment(input.date, input.zone).withTimeZone(input.to));
  } catch (error) {
    if (error instanceof RangeError) throw new HelperError(`"${input.to.slice(0, 60)}" is no time zone.`);
    throw error;
  }
};

/** A moment plus a duration (ISO 8601, `P1M2DT3H`; with a minus before it, less). Days and months are those of the calendar in the zone. */
export const addToDate = (input: { date: string; zone: string; duration: string }): string => {
  const moment = readMoment(input.date, input.zone);
  try {
    return described(moment.add(Temporal.Duration.from(input.duration)));
  } catch (error) {
    throw new HelperError(
      `"${input.duration.slice(0, 60)}" is no duration that can be added (ISO 8601, for instance P1M, -P2W, PT36H)` +
        (error instanceof Error ? `: ${error.message}` : ""),
    );
  }
};

const largestUnits = ["years", "days", "hours", "seconds"] as const;

/** The time between two moments, in several units. */
export const betweenDates = (input: { date: string; until: string; zone: string }): string => {
  const [start, end] = [
    readMoment(input.date, input.zone),
    readMoment(input.until, input.zone).withTimeZone(input.zone),
  ];
  const from = start.withTimeZone(input.zone);
  const lines = largestUnits.map((unit) => `${unit}: ${from.until(end, { largestUnit: unit }).toString()}`);
  return [`from ${described(from)}`, `until ${described(end)}`, ...lines].join("\n");
};
