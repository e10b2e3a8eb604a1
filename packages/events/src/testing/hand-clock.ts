import type { Clock } from "../clock.ts";

/** A clock for tests: it stands until it is told to go on. */
export const createHandClock = (): { clock: Clock; advance(ms: number): void } => {
  let now = 1_000;
  let timers: { at: number; act: () => void }[] = [];
  const clock: Clock = {
    now: () => now,
    after: (ms, act) => {
      const timer = { at: now + ms, act };
      timers.push(timer);
      return () => {
        timers = timers.filter((other) => other !== timer);
      };
    },
  };
  const advance = (ms: number) => {
    now += ms;
    const due = timers.filter((timer) => timer.at <= now);
    timers = timers.filter((timer) => timer.at > now);
    for (const timer of due) timer.act();
  };
  return { clock, advance };
};
