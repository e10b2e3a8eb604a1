import { env } from "node:process";
import type { TestContext } from "vitest";
import { findChromium } from "../worker-browser.ts";

/**
 * The Chromium of this machine. The suite promises to run on a machine with nothing prepared: where there is none the report counts the test
 * as not run and says why, unless CORTEX_REQUIRE_BROWSER=1.
 */
export const withChromium = (context: TestContext): string => {
  const program = findChromium({ program: null, searchPath: env["PATH"] ?? "" });
  if (program !== null) return program;
  const missing =
    "no Chromium or Chrome on this machine (/usr/lib/chromium, or the PATH): install one to run a browser";
  if (env["CORTEX_REQUIRE_BROWSER"] === "1") throw new Error(missing);
  return context.skip(missing);
};
