export { type Database, type DatabaseOptions, type Db, openDatabase } from "./client.ts";
export { jsonb } from "./json.ts";
export { asAccount, asFleet, asUser, isUniqueViolation, type Tx } from "./transaction.ts";
export type { DB } from "./types.gen.ts";
