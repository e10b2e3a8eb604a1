import { StackError } from "../stack-error.ts";
import { findOnPath, type RedisProgram } from "./find-program.ts";
import { fromSystemPackages } from "./system-packages.ts";

/**
 * A Redis (or Valkey) program ≥ 6.2: on the PATH, else from the system's packages, kept unpacked in `cacheDir`.
 * Error `redis_missing`: what to type on this machine.
 */
export async function obtainRedisProgram(input: {
  /** PATH, and what apt needs to get out (http_proxy, …) */
  environment: Record<string, string | undefined>;
  cacheDir: string;
  say: (line: string) => void;
  signal?: AbortSignal;
}): Promise<RedisProgram> {
  const found = (await findOnPath(input.environment["PATH"] ?? "")) ?? (await fromSystemPackages(input));
  if (found !== null) return found;
  const install =
    process.platform === "darwin"
      ? "brew install valkey"
      : "sudo apt-get install redis-server (or dnf install valkey, apk add valkey)";
  throw new StackError(
    "redis_missing",
    `Redis 6.2 or newer is missing and could not be fetched: install it (${install}), or set REDIS_URL to a running one.`,
  );
}
