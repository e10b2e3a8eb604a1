import { chmodSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { env } from "node:process";
import { silentLogger } from "@cortex/observability";
import { expect, onTestFinished, test } from "vitest";
import { probeSandbox, type SandboxSettings } from "./probe.ts";
import { withBubblewrap, withoutStage } from "./testing/fake-bubblewrap.ts";
import { aSandboxHome } from "./testing/local-machine.ts";
import { whereLocalSandboxesRun } from "./testing/local-switch.ts";

const home = aSandboxHome();
const openHome = aSandboxHome();
const probe = async (settings: Partial<SandboxSettings>) => {
  const searchPath = env["PATH"] ?? "";
  const chosen = await probeSandbox({ log: silentLogger() }, { home, choice: "auto", searchPath, ...settings });
  onTestFinished(() => chosen.provider.close());
  return chosen;
};

const versioned = (version: string, otherwise: string) =>
  `if [ "$1" = --version ]; then echo "bubblewrap ${version}"; else ${otherwise}; fi`;
const closed = versioned("0.9.0", 'echo "bwrap: No permissions to create new namespace" >&2; exit 1');

test("virtual by setting", async () => {
  const { provider, reason } = await probe({ choice: "virtual" });
  expect(provider.name).toBe("virtual");
  expect(reason).toBe("virtual sandboxes (an interpreter for text and files, no programs): chosen by setting");
});

test("virtual where namespaces are closed, and it says so and what to do", async () => {
  const { provider, reason } = await probe({ searchPath: withBubblewrap(closed) });
  expect(provider.name).toBe("virtual");
  expect(reason).toContain("No permissions to create new namespace");
  expect(reason).toContain("kernel.apparmor_restrict_unprivileged_userns");
});

test("virtual where bubblewrap is too old for what we promise", async () => {
  const { provider, reason } = await probe({ searchPath: withBubblewrap(versioned("0.6.1", "exit 0")) });
  expect(provider.name).toBe("virtual");
  expect(reason).toMatch(/bubblewrap 0\.6\.1 is too old, 0\.8\.0 is needed$/);
});

test("virtual where a bubblewrap ends at once without a sandbox", async () => {
  const { provider } = await probe({ searchPath: withBubblewrap(versioned("0.9.0", "exit 0")) });
  expect(provider.name).toBe("virtual");
});

test("an error where local is demanded and cannot be, never something less", async () => {
  const attempt = probe({ choice: "local", searchPath: withBubblewrap(closed) });
  await expect(attempt).rejects.toMatchObject({ reason: "sandbox_unavailable", code: "unavailable" });
});

test("what an interrupted deletion left is removed at the next start", async () => {
  const { provider } = await probe({ choice: "virtual" });
  const id = "8d9b1e0a-5c39-4a0c-9d6a-0b7c8a1f2e3d";
  mkdirSync(join(home, "sandboxes/.deleted", `${id}-x`, "workspace/deep/er"), { recursive: true });
  writeFileSync(join(home, "sandboxes/.deleted", `${id}-x`, "workspace/deep/er/file"), "x");
  await provider.close();
  await probe({ choice: "virtual" });
  expect(readdirSync(join(home, "sandboxes/.deleted"))).toEqual([]);
});

await whereLocalSandboxesRun(() => {
  test("local where it works, and it says with what", async () => {
    const { provider, reason } = await probe({});
    expect(provider.name).toBe("local");
    expect(reason).toMatch(/^local sandboxes: bubblewrap [\d.]+ works here \(started one in \d+ ms\)$/);
    expect(readdirSync(home).filter((name) => name.startsWith(".probe"))).toEqual([]);
  });

  test("local even where root may mount nothing, if what it needs can be reached", async () => {
    chmodSync(openHome, 0o711);
    const { provider } = await probe({ home: openHome, searchPath: withoutStage() });
    expect(provider.name).toBe("local");
  });
});
