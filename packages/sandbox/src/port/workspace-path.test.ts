import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { SandboxError } from "./errors.ts";
import { absoluteWorkspacePath, parseWorkspacePath } from "./workspace-path.ts";

const refusal = (path: string): string => {
  try {
    return `accepted as ${JSON.stringify(parseWorkspacePath(path))}`;
  } catch (error) {
    return error instanceof SandboxError ? error.reason : String(error);
  }
};

describe("accepts", () => {
  test.for<[string, string]>([
    ["", ""],
    [".", ""],
    ["./", ""],
    ["/workspace", ""],
    ["/workspace/", ""],
    ["//workspace//./a", "a"],
    ["a", "a"],
    ["./a//b/./c/", "a/b/c"],
    ["/workspace/a/b", "a/b"],
    ["workspace/a", "workspace/a"],
    ["workspace", "workspace"],
    ["~/notes", "~/notes"],
    ["-rf", "-rf"],
    ["..a/b..", "..a/b.."],
    ["...", "..."],
    ["100%.txt", "100%.txt"],
    ["a%20b", "a%20b"],
    ["%zz/50%", "%zz/50%"],
    ["日本/ü 🦊.txt", "日本/ü 🦊.txt"],
    ["a:b?c#d&e", "a:b?c#d&e"],
  ])("%j as %j", ([path, expected]) => {
    expect(parseWorkspacePath(path)).toBe(expected);
  });

  test("what it has made, again, relative and absolute", () => {
    const segment = fc.string({ unit: "grapheme", minLength: 1, maxLength: 20 }).filter((text) => !/[/\\%]/.test(text));
    fc.assert(
      fc.property(fc.array(segment, { maxLength: 6 }), (segments) => {
        const path = segments.join("/");
        fc.pre(refusal(path).startsWith("accepted"));
        const parsed = parseWorkspacePath(path);
        expect(parseWorkspacePath(parsed)).toBe(parsed);
        expect(parseWorkspacePath(absoluteWorkspacePath(parsed))).toBe(parsed);
      }),
    );
  });
});

describe("refuses", () => {
  test.for([
    "..",
    "../a",
    "a/..",
    "a/../b",
    "a/../../b",
    "/..",
    "/workspace/..",
    "/workspace/../etc/passwd",
    "/",
    "/etc/passwd",
    "/workspace2/a",
    "/Workspace/a",
    "%2e%2e/a",
    "%2E%2e/a",
    ".%2e/a",
    "a/%2e%2e%2fb",
    "..%2f..%2fetc",
    "..%5c..%5cetc",
    "%252e%252e/a",
    "%25252e%25252e/a",
    "%zz/%2e%2e/a",
    "%ff%2f%2e%2e/a",
    "%c0%ae%c0%ae/a",
    "%25c0%25ae/a",
    "%e0%80%ae%e0%80%ae/a",
    "．．/a",
    "‥/a",
    "a\\b",
    "..\\a",
    "a\0b",
    "a%00b",
    "a%2500b",
    "a\nb",
    "a%0ab",
    "a\u007fb",
    "a\u0085b",
    "\ud800",
    "a".repeat(256),
    "ü".repeat(128),
    "a/".repeat(2_001),
  ])("%j", (path) => {
    expect(refusal(path)).toBe("path_outside_workspace");
  });

  test("whatever climbs, however it is dressed", () => {
    const dot = fc.constantFrom(".", "%2e", "%2E", "%252e", "%25252E");
    const slash = fc.constantFrom("/", "%2f", "%2F", "\\", "%5c", "%252f");
    const climb = fc.tuple(dot, dot).map(([one, two]) => one + two);
    const name = fc.constantFrom("", "a", ".", "b.txt", "%20");
    fc.assert(
      fc.property(fc.array(fc.tuple(name, slash)), climb, fc.array(fc.tuple(slash, name)), (before, up, after) => {
        const path = before.flat().join("") + up + after.flat().join("");
        expect(refusal(path)).toBe("path_outside_workspace");
      }),
    );
  });

  test("or keeps inside, for any text at all", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 200 }), (path) => {
        const said = refusal(path);
        if (said === "path_outside_workspace") return;
        const parsed = parseWorkspacePath(path);
        expect(parsed.startsWith("/")).toBe(false);
        for (const segment of parsed === "" ? [] : parsed.split("/")) {
          expect(["", ".", ".."]).not.toContain(segment);
        }
      }),
    );
  });
});
