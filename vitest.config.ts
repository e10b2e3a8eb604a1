import { defineConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";

/**
 * The fleets of `chaos/` are up to a dozen processes each: they come when everything else is done, so that what they do to the machine makes
 * no other test late.
 */
class ChaosLast extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const isChaos = (file: TestSpecification): boolean => file.moduleId.includes("/chaos/");
    return [...sorted.filter((file) => !isChaos(file)), ...sorted.filter(isChaos)];
  }
}

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
    // A test or a hook may clone a database and start two or three processes, one after the other, while both cores are busy.
    testTimeout: 60_000,
    hookTimeout: 60_000,
    teardownTimeout: 20_000,
    // Test files are mostly waiting for Postgres, Redis or a child process, so two workers keep two cores busy;
    // more of them only make each other late.
    maxWorkers: 2,
    sequence: { sequencer: ChaosLast },
    // A test that passes on its second try hides the race it was written to find.
    retry: 0,
    passWithNoTests: false,
    // Console output of passing tests is noise; a failing test prints what it needs in its assertion.
    silent: "passed-only",
    reporters: ["default"],
  },
});
