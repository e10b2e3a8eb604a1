import { writeFileSync } from "node:fs";
import { argv, env } from "node:process";
import { operations } from "./operations.ts";
import { runCommand } from "./run-command.ts";
import { serveStdio } from "./serve-stdio.ts";
import { removeAbandonedWrites } from "./write-file.ts";

/**
 * The process that lives in a local sandbox. It has no rights that the commands beside it do not have, and may be killed or deceived by
 * them: the host believes nothing it says without looking.
 */
const workspace = { root: argv[2] ?? "/workspace" };
// This environment was made for the sandbox, nothing of the host is in it.
const shell = { program: argv[3] ?? "/bin/sh", env: { ...env } };

// Out of memory, the kernel should take the sandbox before it takes the host's services. Inherited by every command.
try {
  writeFileSync("/proc/self/oom_score_adj", "500");
} catch (error) {
  process.stderr.write(`could not lower the claim to memory: ${String(error)}\n`);
}
// Beyond the limit on file size the kernel sends a signal that kills; ignored, the write fails with EFBIG instead.
process.on("SIGXFSZ", () => undefined);

await removeAbandonedWrites(workspace);
serveStdio(operations(workspace, runCommand(workspace, shell)));
