import { isMainThread } from "node:worker_threads";

/*
 * Preloaded (`node --import`) into every application that the supervisor starts. The channel between the two closes when
 * the supervisor dies, however it dies; then the application ends as if it had been asked to, and after a while for sure.
 * The applications themselves know nothing of it: in production nobody opens such a channel.
 */

/** A worker hands its runs over in about a second; below the watchdog's patience (watchdog-process.ts, 4 s). */
const GRACE_MS = 3_000;

if (isMainThread && process.connected) {
  process.once("disconnect", () => {
    process.kill(process.pid, "SIGTERM");
    setTimeout(() => process.kill(process.pid, "SIGKILL"), GRACE_MS).unref();
  });
  process.channel?.unref(); // it must not keep an application alive that is done
}
