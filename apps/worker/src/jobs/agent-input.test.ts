import { expect, test } from "vitest";
import { deadlineHere } from "./agent-input.ts";

test("a deadline is as far away here as in the database, however far apart the clocks are", () => {
  const claimed_at = new Date("2026-01-01T00:00:00Z");
  const run = { claimed_at, deadline_at: new Date("2026-01-01T01:00:00Z") };
  for (const skewMs of [-60_000, 0, 60_000]) {
    const now = new Date(claimed_at.getTime() + 600_000 + skewMs);
    expect(deadlineHere(run, 600_000, now).getTime() - now.getTime()).toBe(50 * 60_000);
  }
});
