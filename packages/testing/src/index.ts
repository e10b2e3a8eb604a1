export { createTestDatabase, type TestDatabase } from "./database.ts";
export { eventually } from "./eventually.ts";
export { createTestRedis, type OwnRedis, type TestRedis } from "./redis.ts";
