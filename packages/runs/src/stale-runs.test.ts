import { expect, test } from "vitest";
import { defaultRunSettings as settings } from "./settings.ts";
import { classifyStaleRun } from "./stale-runs.ts";

const now = new Date("2026-01-01T12:00:00Z");
const ago = (ms: number) => new Date(now.getTime() - ms);
const run = {
  status: "running" as const,
  admitted_at: ago(60_000),
  lease_until: ago(-1_000),
  stop_requested_at: null,
  attempts_since_step: 1,
  deadline_at: ago(-60_000),
  resume_at: null,
  cost_usd: "0.0010000000",
};

test("a run that waits, works or has ended is not stale", () => {
  expect(classifyStaleRun(run, now, settings)).toBeNull();
  expect(classifyStaleRun({ ...run, status: "queued", admitted_at: null }, now, settings)).toBeNull();
  expect(classifyStaleRun({ ...run, status: "queued", admitted_at: ago(1_000) }, now, settings)).toBeNull();
  for (const status of ["waiting", "completed", "failed", "stopped"] as const) {
    expect(classifyStaleRun({ ...run, status, lease_until: ago(60_000) }, now, settings)).toBeNull();
  }
});

test("what the queue has lost is delivered again", () => {
  expect(classifyStaleRun({ ...run, status: "queued" }, now, settings)).toEqual({ kind: "redeliver" });
  expect(classifyStaleRun({ ...run, lease_until: ago(settings.orphanGraceMs + 1) }, now, settings)).toEqual({
    kind: "redeliver",
  });
  expect(classifyStaleRun({ ...run, lease_until: ago(settings.orphanGraceMs - 1) }, now, settings)).toBeNull();
});

test("a wish to stop is granted as soon as nobody holds the run", () => {
  const asked = { ...run, stop_requested_at: ago(500) };
  expect(classifyStaleRun(asked, now, settings)).toBeNull();
  expect(classifyStaleRun({ ...asked, lease_until: ago(1) }, now, settings)).toMatchObject({
    kind: "stop",
    receipt: { aborted: ["lost worker"], charged_usd: "0.001" },
  });
});

test("a run that kills its workers, or outlives its deadline, is given up", () => {
  const lost = { ...run, lease_until: ago(10_000) };
  const poison = { ...lost, attempts_since_step: settings.maxAttemptsWithoutProgress };
  expect(classifyStaleRun(poison, now, settings)).toMatchObject({ kind: "fail", error: { code: "worker_lost" } });
  expect(classifyStaleRun({ ...poison, attempts_since_step: 4 }, now, settings)).toEqual({ kind: "redeliver" });
  expect(classifyStaleRun({ ...lost, deadline_at: ago(1) }, now, settings)).toMatchObject({
    error: { code: "deadline_exceeded" },
  });
});

test("a wait ends with the time it was given: for people, or by the run's own deadline", () => {
  const waiting = { ...run, status: "waiting" as const, lease_until: null, admitted_at: null };
  expect(classifyStaleRun(waiting, now, settings)).toBeNull();
  const over = { ...waiting, deadline_at: ago(1) };
  expect(classifyStaleRun(over, now, settings)).toMatchObject({
    error: { code: "approval_expired", retryable: false },
  });
  expect(classifyStaleRun({ ...over, resume_at: ago(-1_000) }, now, settings)).toMatchObject({
    error: { code: "deadline_exceeded" },
  });
});
