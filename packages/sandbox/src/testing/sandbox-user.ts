import { argv, stdout } from "node:process";
import { silentLogger } from "@cortex/observability";
import { probeSandbox } from "../probe.ts";

/**
 * `sandbox-user.ts <home> <search path> <id> <command>`: another process of ours, for tests that kill it. Prints `output` at the command's first output,
 * and its result as JSON at its end.
 */
const [, , home = "", searchPath = "", id = "", command = ""] = argv;
const { provider } = await probeSandbox(
  { log: silentLogger() },
  { home, choice: "local", searchPath, mayDownload: false },
);
const ref = await provider.create({ id, labels: {} });
let heard = false;
const result = await provider.open(ref).exec({
  command,
  onOutput: () => {
    if (!heard) stdout.write("output\n");
    heard = true;
  },
});
stdout.write(`${JSON.stringify(result)}\n`);
await provider.close();
