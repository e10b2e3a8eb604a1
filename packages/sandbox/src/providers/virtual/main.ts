import { realpathSync } from "node:fs";
import { argv } from "node:process";
import { operations } from "../../agent/operations.ts";
import { serveStdio } from "../../agent/serve-stdio.ts";
import { removeAbandonedWrites } from "../../agent/write-file.ts";
import { runScript } from "./run-script.ts";

/** The process of a virtual sandbox: the same agent, with an interpreter where the local one has real processes. */
const workspace = { root: realpathSync(argv[2] ?? "") };

await removeAbandonedWrites(workspace);
serveStdio(operations(workspace, runScript(workspace)));
