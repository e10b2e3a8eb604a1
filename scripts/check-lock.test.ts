import { expect, test } from "vitest";
import { lockFindings } from "./check-lock.mjs";

test("a lock file that lacks the package of a promised platform is refused, one that lacks another platform is not", () => {
  const optionalDependencies = {
    "@x/tool-darwin-arm64": "1.0.0",
    "@x/tool-linux-x64-gnu": "1.0.0",
    "@x/tool-win32-x64": "1.0.0",
  };
  expect(
    lockFindings({
      packages: { "node_modules/tool": { optionalDependencies }, "node_modules/@x/tool-linux-x64-gnu": {} },
    }),
  ).toEqual(["node_modules/tool: its package for darwin-arm64 (@x/tool-darwin-arm64) is not in the lock file"]);
});

test("turbo's spelling of a platform counts too", () => {
  const optionalDependencies = { "@turbo/linux-64": "1.0.0" };
  expect(lockFindings({ packages: { "node_modules/turbo": { optionalDependencies } } })).toHaveLength(1);
});

test("a download address is refused, a link between workspaces is not", () => {
  const packages = {
    "node_modules/a": { resolved: "https://packages.example/a.tgz" },
    "node_modules/@cortex/db": { resolved: "packages/db" },
  };
  expect(lockFindings({ packages })).toEqual(["node_modules/a: holds a download address"]);
});

test("a file that is no lock file is refused", () => {
  expect(lockFindings({})).toHaveLength(1);
});
