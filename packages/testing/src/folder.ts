import { chmodSync, mkdtempSync } from "node:fs";
import { join } from "node:path";
import { inject } from "vitest";

/** An empty folder that goes with the suite. Every user may enter it: root's Postgres runs as another one. */
export function createTestFolder(): string {
  const folder = mkdtempSync(join(inject("services").folder, "test-"));
  chmodSync(folder, 0o755);
  return folder;
}
