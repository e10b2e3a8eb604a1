import type { TestProject } from "vitest/node";
import { type TestServices, startTestServices } from "./test-services.ts";

declare module "vitest" {
  export interface ProvidedContext {
    services: TestServices;
  }
}

/**
 * Vitest's globalSetup: real services for the whole suite, gone when it ends.
 * @public called by vitest
 */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const { services, close } = await startTestServices();
  project.provide("services", services);
  return close;
}
