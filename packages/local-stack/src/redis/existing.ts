import { StackError } from "../stack-error.ts";
import { isRecentEnough } from "./find-program.ts";
import { probeRedis } from "./probe.ts";

/** Looks at the Redis of REDIS_URL before anything stands on it, and returns its version. Error `not_ready`. */
export async function checkExistingRedis(redisUrl: string): Promise<string> {
  const url = new URL(redisUrl);
  const answer = await probeRedis({
    host: url.hostname,
    port: Number(url.port || 6379),
    tls: url.protocol === "rediss:",
    ...(url.username === "" ? {} : { username: decodeURIComponent(url.username) }),
    ...(url.password === "" ? {} : { password: decodeURIComponent(url.password) }),
  });
  if (answer.kind === "silent") {
    throw notReady(
      `nothing answers at ${url.host}: start it, correct REDIS_URL, or unset it to use a Redis of our own`,
    );
  }
  if (answer.kind === "stranger") {
    throw notReady(`what answers at ${url.host} is no Redis, or wants another password: correct REDIS_URL`);
  }
  if (answer.loading) throw notReady(`the Redis at ${url.host} is still loading its data: try again in a moment`);
  if (!isRecentEnough(answer.version)) {
    throw notReady(
      `the Redis at ${url.host} is version ${answer.version}, 6.2 or newer is needed: point REDIS_URL to one`,
    );
  }
  return answer.version;
}

function notReady(why: string): StackError {
  return new StackError("not_ready", `REDIS_URL cannot be used, because ${why}.`);
}
