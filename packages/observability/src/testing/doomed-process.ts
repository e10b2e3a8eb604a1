import { watchEventLoop } from "../event-loop-watch.ts";
import { createLifetime, runUntilSignal } from "../lifetime.ts";
import { createLogger } from "../logger.ts";

/** A process for tests that meets with an accident: `blocks`, `throws`, `rejects`, `gives up`, or `lives` until it is told to stop. */
const [, , accident = "lives"] = process.argv;
const log = createLogger({ name: "doomed", level: "info" });
const lifetime = createLifetime({ log, timeoutMs: 60_000 });
const ending = runUntilSignal(lifetime, log);
const watch = watchEventLoop({ log }, { limitMs: 1_000, beatMs: 50 });
lifetime.opened("event loop", () => watch.close());
if (accident === "throws" || accident === "rejects") lifetime.opened("what never closes", () => new Promise(() => {}));
setInterval(() => {}, 1_000);
log.info("up");
setImmediate(() => {
  if (accident === "throws") throw new Error("an accident");
  if (accident === "rejects") void Promise.reject(new Error("an accident"));
  if (accident === "gives up") ending.giveUp("it is of no use");
  for (; accident === "blocks";);
});
