import { defineConfig } from "vitest/config";

/**
 * One suite over real services: the global set-up starts one private Postgres and one private Redis, every test file
 * takes its own database from them. Times are upper bounds that catch a hang, not expectations.
 */
export default defineConfig({
  test: {
    include: [
      "packages/**/*.test.ts",
      "apps/**/*.test.ts",
      "bench/**/*.test.ts",
      "chaos/**/*.test.ts",
      "scripts/**/*.test.ts",
    ],
    exclude: ["**/node_modules/**", "apps/web/**"],
    globalSetup: ["packages/testing/src/global-setup.ts"],
    testTimeout: 20_000,
    // Longer than a test: a hook may clone a database or start a server process while the other core is busy too.
    hookTimeout: 60_000,
    teardownTimeout: 20_000,
    // Test files are mostly waiting for Postgres, Redis or a child process, so two workers keep two cores busy;
    // more of them only make each other late.
    maxWorkers: 2,
    // A test that passes on its second try hides the race it was written to find.
    retry: 0,
    passWithNoTests: false,
    // Console output of passing tests is noise; a failing test prints what it needs in its assertion.
    silent: "passed-only",
    reporters: ["default"],
  },
});
