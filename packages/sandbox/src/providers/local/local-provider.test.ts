import { sandboxConformance } from "../../conformance.ts";
import { aLocalSubject, aSandboxHome } from "../../testing/local-machine.ts";
import { whereLocalSandboxesRun } from "../../testing/local-switch.ts";

await whereLocalSandboxesRun(async () => sandboxConformance(await aLocalSubject(aSandboxHome(), "local")));
