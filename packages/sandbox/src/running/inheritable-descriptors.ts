import { readdirSync, readFileSync } from "node:fs";

/** O_CLOEXEC on Linux, on every architecture that Node runs on. */
const closeOnExec = 0o2000000;

const flagsOf = (descriptor: number): number | null => {
  try {
    const flags = /^flags:\s*([0-7]+)$/m.exec(readFileSync(`/proc/self/fdinfo/${descriptor}`, "utf8"))?.[1];
    return flags === undefined ? null : Number.parseInt(flags, 8);
  } catch {
    // Closed since the folder was read; the descriptor that reads the folder always is.
    return null;
  }
};

/**
 * Descriptors beyond the first three that a new process of ours would inherit. Node marks its own as ours alone, and at its start those it
 * was given, but only up to the first gap above 15: what a shell or a supervisor left open higher up goes to every child. Elsewhere than on
 * Linux the kernel is not asked, and there are no local sandboxes.
 */
export const inheritableDescriptors = (): number[] => {
  if (process.platform !== "linux") return [];
  return readdirSync("/proc/self/fd")
    .map(Number)
    .filter((descriptor) => descriptor > 2)
    .filter((descriptor) => {
      const flags = flagsOf(descriptor);
      return flags !== null && (flags & closeOnExec) === 0;
    })
    .toSorted((left, right) => left - right);
};
