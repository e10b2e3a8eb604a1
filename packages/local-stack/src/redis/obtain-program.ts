import { StackError } from "../stack-error.ts";
import { findOnPath, type RedisProgram } from "./find-program.ts";
import { fromSystemPackages } from "./system-packages.ts";

/**
 * A Redis (or Valkey) program ≥ 6.2: on the PATH, else from the system's packages, kept unpacked in `cacheDir`.
 * Error `redis_missing`: what to type on this machine.
 */
export async function obtainRedisProgram(input: {
  path: string;
  cacheDir: string;
  say: (line: string) => void;
}): Promise<RedisProgram> {
  const found = (await findOnPath(input.path)) ?? (await fromSystemPackages(input.cacheDir, input.say));
  if (found !== null) return found;
  const install = process.platform === "darwin" ? "brew install valkey" : "sudo apt-get install redis-server (or dnf install valkey, apk add valkey)";
  throw new StackError(
    "redis_missing",
    `Redis 6.2 or newer is missing and could not be fetched: install it (${install}), or set REDIS_URL to a running one.`,
  );
}
