import { expect, test } from "vitest";
import { judgeLockFile } from "./lock-file.ts";

const file = (pid: number, status: string) =>
  [pid, "/data", 1795200000, 15432, "", "127.0.0.1", "5432001 7", `${status}   `, ""].join("\n");
const nobody = { isAlive: () => false, serves: () => false };
const stranger = { isAlive: () => true, serves: () => false };
const ours = { isAlive: () => true, serves: () => true };

test.each([
  ["no file", null, ours, { kind: "free" }],
  ["a ready server", file(7, "ready"), ours, { kind: "held", pid: 7, port: 15432, ready: true }],
  ["a starting server", file(7, "starting"), ours, { kind: "held", pid: 7, port: 15432, ready: false }],
  ["a server that has just written its id", "7\n", ours, { kind: "held", pid: 7, port: 0, ready: false }],
  ["a server that was killed", file(7, "ready"), nobody, { kind: "stale", reason: "process 7 has ended" }],
  [
    "an id that another program got",
    file(7, "ready"),
    stranger,
    { kind: "stale", reason: "process 7 is another program now" },
  ],
  ["an empty file", "", ours, { kind: "stale", reason: "the file is empty or torn" }],
  ["a torn file", "\0\0\0\0", ours, { kind: "stale", reason: "the file is empty or torn" }],
])("%s", (_what, text, look, verdict) => {
  expect(judgeLockFile(text, look)).toEqual(verdict);
});
