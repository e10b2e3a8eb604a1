import { readFile } from "node:fs/promises";
import { createTestDatabase } from "@cortex/testing";
import { expect, test } from "vitest";
import { rowTypesFile, rowTypesOf } from "./row-types.ts";

test("the row types are those of the migrated database; if not: npm run db:types", async () => {
  const database = await createTestDatabase();
  try {
    expect(await rowTypesOf(database.ownerUrl)).toBe(await readFile(rowTypesFile, "utf8"));
  } finally {
    await database.drop();
  }
});

test("a column that a migration adds changes them", async () => {
  const database = await createTestDatabase();
  try {
    await database.owner.query("alter table cortex.projects add column colour text");
    const generated = await rowTypesOf(database.ownerUrl);
    expect(generated).toContain("colour: string | null;");
    expect(generated).not.toBe(await readFile(rowTypesFile, "utf8"));
  } finally {
    await database.drop();
  }
});
