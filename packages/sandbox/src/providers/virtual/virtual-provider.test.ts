import { sandboxConformance } from "../../conformance.ts";
import { aLocalSubject, aSandboxHome } from "../../testing/local-machine.ts";

sandboxConformance(await aLocalSubject(aSandboxHome(), "virtual"));
