import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { createTestFolder } from "@cortex/testing";
import { expect, test } from "vitest";
import { lastWords } from "./last-words.ts";

test.each([
  ["a plain sentence", "starting\nAPI_PORT must be a number\n    at main.ts:1", "API_PORT must be a number"],
  [
    "a structured line with its cause",
    '{"level":30,"msg":"opening"}\n{"level":60,"err":{"message":"no such host","stack":"…"},"msg":"uncaught error"}',
    "uncaught error: no such host",
  ],
  ["no trouble at all", "one\ntwo", "two"],
  ["nothing", "", ""],
])("%s", (_what, text, words) => {
  const file = join(createTestFolder(), "app.log");
  writeFileSync(file, text);
  expect(lastWords(file)).toBe(words);
});
