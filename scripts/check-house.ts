/** `npm run check:house`: the rules of ARCHITECTURE.md that types and linter cannot say. Prints each breach, exits 1 on any. */
import { importFindings } from "./house/import-findings.ts";
import { manifestFindings } from "./house/manifest-findings.ts";
import { nameFindings } from "./house/name-findings.ts";
import { readWorkspace } from "./house/read-workspace.ts";

const workspace = readWorkspace();
const findings = [
  ...manifestFindings(workspace.manifests),
  ...importFindings(workspace),
  ...nameFindings(workspace.sources.keys()),
];
for (const finding of findings) console.error(finding);
if (findings.length > 0) process.exitCode = 1;
