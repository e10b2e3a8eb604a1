export { StackError } from "./stack-error.ts";
export { freePort } from "./ports.ts";
export { startPostgres, DURABILITY, type PostgresOptions, type PostgresServer } from "./postgres/server.ts";
export { obtainRedisProgram } from "./redis/obtain-program.ts";
export { startRedis, REDIS_DURABILITY, type RedisOptions, type RedisServer } from "./redis/server.ts";
export { ensureSupabaseBase, readSupabaseBase } from "./supabase-base/ensure-supabase-base.ts";
export { startWatchdog, type Watchdog } from "./supervision/watchdog.ts";
export { endProcess, isAlive } from "./process/liveness.ts";
