import type { Subject } from "./testing/subject.ts";
import { commandConformance, processConformance } from "./testing/command-conformance.ts";
import { fileConformance } from "./testing/file-conformance.ts";
import { isolationConformance } from "./testing/isolation-conformance.ts";
import { portConformance, portlessConformance } from "./testing/port-conformance.ts";
import { lifeConformance } from "./testing/life-conformance.ts";

/**
 * What every provider does alike; a provider without a capability is spared what that capability is about, and nothing else. Registers
 * tests, so it is called at the top of a test file.
 */
export const sandboxConformance = (subject: Subject): void => {
  commandConformance(subject);
  if (subject.provider.capabilities.processes) processConformance(subject);
  (subject.provider.capabilities.preview ? portConformance : portlessConformance)(subject);
  fileConformance(subject);
  isolationConformance(subject);
  lifeConformance(subject);
};
