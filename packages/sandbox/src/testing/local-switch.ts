import { env } from "node:process";
import { test } from "vitest";

/**
 * Registers tests that need local sandboxes. Where bubblewrap cannot run they fail, loudly, unless the machine says of itself that it is
 * one of those (`CORTEX_SANDBOX=virtual`); then one test says what was left out.
 */
export const whereLocalSandboxesRun = async (register: () => void | Promise<void>): Promise<void> => {
  await (env["CORTEX_SANDBOX"] === "virtual" ? sayWhatIsLeftOut : register)();
};

const sayWhatIsLeftOut = (): void => {
  test("left out: CORTEX_SANDBOX=virtual says that local sandboxes do not work here", ({ expect }) => {
    expect(env["CORTEX_SANDBOX"]).toBe("virtual");
  });
};
