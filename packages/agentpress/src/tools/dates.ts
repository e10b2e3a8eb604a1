import { z } from "zod";
import { ToolFailure } from "../errors.ts";
import { addToDate, betweenDates, convertDate } from "../library/dates.ts";
import { refusing } from "../library/refusals.ts";
import { defineTool } from "../tool.ts";

export const tool = defineTool({
  name: "dates",
  title: "Dates",
  description:
    "Calculates with dates and time zones, exactly: shows a moment in a zone with its weekday (also now: leave date out), adds a duration, or " +
    "measures the time until another moment. Use it instead of guessing what day it is.",
  icon: "calendar-clock",
  effect: "pure",
  schema: z.strictObject({
    date: z
      .string()
      .max(100)
      .optional()
      .describe("ISO 8601: 2026-03-29, 2026-03-29T02:30 (in zone), 2026-03-29T02:30:00Z. Default: now."),
    zone: z.string().max(100).optional().describe("IANA time zone, for instance Europe/Berlin. Default UTC."),
    to_zone: z.string().max(100).optional().describe("Show the moment in this zone."),
    add: z.string().max(100).optional().describe("Add this ISO 8601 duration: P1M, -P2W, PT36H."),
    until: z.string().max(100).optional().describe("Measure the time from date to this moment."),
  }),
  timeoutMs: 5_000,
  maxResultChars: 4_000,
  execute: async ({ date, zone = "UTC", to_zone, add, until }, { now }) => {
    if ([to_zone, add, until].filter((one) => one !== undefined).length > 1) {
      throw new ToolFailure("Give one of to_zone, add and until.");
    }
    const moment = date ?? now().toISOString();
    return refusing(() => {
      if (add !== undefined) return addToDate({ date: moment, zone, duration: add });
      if (until !== undefined) return betweenDates({ date: moment, until, zone });
      return convertDate({ date: moment, zone, to: to_zone ?? zone });
    });
  },
});
