export { type Database, type DatabaseOptions, type Db, openDatabase } from "./client.ts";
export { readDurability } from "./durability.ts";
export { jsonb, jsonText } from "./json.ts";
export { isAfter, type ListPlace, parseListPlace, placeOf, toPage } from "./list-place.ts";
export { hashMigrations, migrate, MigrationError, readMigrations, seed } from "./migrate.ts";
export { CommitUnknown, isOutage } from "./outage.ts";
export { type RolePasswords, setRolePasswords } from "./role-passwords.ts";
export { asAccount, asFleet, asUser, inScope, isUniqueViolation, type Scope, type Tx } from "./transaction.ts";
export type { DB } from "./types.gen.ts";
