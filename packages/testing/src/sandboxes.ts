import { silentLogger } from "@cortex/observability";
import { probeSandbox, type SandboxProvider } from "@cortex/sandbox";
import { afterAll } from "vitest";
import { createTestFolder } from "./folder.ts";

/** Real sandboxes of this machine for one test file, as a worker would have them. Their processes end with it. */
export async function createTestSandboxes(): Promise<SandboxProvider> {
  const settings = { home: createTestFolder(), choice: "auto" as const, searchPath: process.env["PATH"] ?? "" };
  const { provider } = await probeSandbox({ log: silentLogger() }, settings);
  afterAll(() => provider.close());
  return provider;
}
