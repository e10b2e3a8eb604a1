import { mkdtempSync, rmSync } from "node:fs";
import { symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { env } from "node:process";
import { silentLogger } from "@cortex/observability";
import { afterAll } from "vitest";
import { type ProbedSandboxes, probeSandbox, type SandboxSettings } from "../probe.ts";
import type { Subject } from "./subject.ts";

/** Where a sandbox of this machine keeps its workspace. */
export const workspaceOf = (home: string, id: string): string => join(home, "sandboxes", id, "workspace");

/**
 * A folder for sandboxes that goes with the test file. Nobody but its owner may enter it, as a folder below /root: the hardest place that a
 * sandbox with a uid of its own has to work in.
 */
export const aSandboxHome = (): string => {
  const home = mkdtempSync(join(tmpdir(), "cortex-sandboxes-"));
  afterAll(() => rmSync(home, { recursive: true, force: true }));
  return home;
};

const probed = async (
  home: string,
  choice: SandboxSettings["choice"],
  settings: Partial<SandboxSettings> = {},
): Promise<ProbedSandboxes> => {
  const searchPath = env["PATH"] ?? "";
  const sandboxes = await probeSandbox({ log: silentLogger() }, { home, choice, searchPath, ...settings });
  afterAll(() => sandboxes.provider.close());
  return sandboxes;
};

/** A provider of this machine, and the same as another process would have it. */
export const aLocalSubject = async (
  home: string,
  choice: "local" | "virtual",
  settings: Partial<SandboxSettings> = {},
): Promise<Subject> => ({
  provider: (await probed(home, choice, settings)).provider,
  other: (await probed(home, choice, settings)).provider,
  plantLink: (ref, path, target) => symlink(target, join(workspaceOf(home, ref.id), path)),
});
