import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { env } from "node:process";
import { onTestFinished } from "vitest";

/** A search path whose bubblewrap is this shell script. */
export const withBubblewrap = (script: string): string => {
  const folder = mkdtempSync(join(tmpdir(), "fake-bwrap-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, "bwrap"), `#!/bin/sh\n${script}\n`);
  for (const path of [folder, join(folder, "bwrap")]) chmodSync(path, 0o755);
  return [folder, env["PATH"] ?? ""].join(delimiter);
};

/** One that works, but not as the stage of root: as in a container in which even root may mount nothing. */
export const withoutStage = (): string =>
  withBubblewrap(
    'case "$*" in *--dev-bind*) echo "Operation not permitted" >&2; exit 1;; esac; exec /usr/bin/bwrap "$@"',
  );
