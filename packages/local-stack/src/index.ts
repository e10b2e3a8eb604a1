export { freePort } from "./ports.ts";
export { startPostgres } from "./postgres/server.ts";
export { obtainRedisProgram } from "./redis/obtain-program.ts";
export { startRedis, type RedisServer } from "./redis/server.ts";
export { ensureSupabaseBase, readSupabaseBase } from "./supabase-base/ensure-supabase-base.ts";
export { startWatchdog } from "./supervision/watchdog.ts";
export { endProcess } from "./process/liveness.ts";
