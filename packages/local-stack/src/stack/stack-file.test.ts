import { statSync } from "node:fs";
import { createTestFolder } from "@cortex/testing";
import { expect, test } from "vitest";
import { readStackFile, removeStackFile, stackFilePath, type StackFile, writeStackFile } from "./stack-file.ts";

test("it comes back as it was written, for its owner only, and goes", () => {
  const home = createTestFolder();
  const content: StackFile = {
    api_url: "http://127.0.0.1:8000",
    web_url: null,
    preview_url: "http://{label}.localhost:8001",
    supabase_url: "http://127.0.0.1:54321",
    supabase_anon_key: "sb_publishable_1",
    database_url: "postgresql://postgres:secret@127.0.0.1:15432/postgres",
    redis_url: "redis://:secret@127.0.0.1:16380",
    demo_user: { email: "demo@example.com", password: "secret" },
    supervisor_pid: 1,
    processes: [{ name: "api", pid: 2 }],
  };
  expect(readStackFile(home)).toBe(null);
  writeStackFile(home, content);
  expect(readStackFile(home)).toEqual(content);
  expect(statSync(stackFilePath(home)).mode & 0o777).toBe(0o600);
  removeStackFile(home);
  expect(readStackFile(home)).toBe(null);
});
