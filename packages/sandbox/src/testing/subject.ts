import { randomUUID } from "node:crypto";
import { onTestFinished } from "vitest";
import type { SandboxProvider, SandboxRef } from "../port/provider.ts";
import type { Sandbox } from "../port/sandbox.ts";

/** A provider under test. */
export interface Subject {
  provider: SandboxProvider;
  /** The same sandboxes as another process of ours would have them. */
  other: SandboxProvider;
  /** Puts a symlink into a workspace, whatever its target. */
  plantLink: (ref: SandboxRef, path: string, target: string) => Promise<void>;
}

/** A sandbox for one test, removed with it. */
export const freshSandbox = async ({ provider }: Subject): Promise<{ ref: SandboxRef; sandbox: Sandbox }> => {
  const ref = await provider.create({ id: randomUUID(), labels: { made_by: "conformance" } });
  onTestFinished(() => provider.delete(ref));
  return { ref, sandbox: provider.open(ref) };
};

export const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
