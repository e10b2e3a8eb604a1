import { createRunBrowser, type Launch, type RunBrowser, sandboxBrowser, workerBrowser } from "@cortex/browser";
import { createEgressProxy, type EgressProxy } from "@cortex/egress";
import type { Logger } from "@cortex/observability";
import type { OpenSandbox } from "@cortex/sandbox";
import type { WorkerEnv } from "./env.ts";

/** The browsers of this worker's runs. */
export interface Browsers {
  /** For one run; starts nothing. Null: this worker has none. */
  forRun(openSandbox: OpenSandbox): RunBrowser | null;
  /** The run is over: ends its browser, without anybody waiting for it. */
  leave(browser: RunBrowser | null): void;
  /** Waits for the ends that are under way. */
  close(): Promise<void>;
}

/** On our side of the sandbox's wall everything that a browser loads goes through one egress proxy. */
const launchHere = (env: WorkerEnv, proxy: EgressProxy): Launch =>
  workerBrowser({
    proxy,
    program: env.BROWSER_PROGRAM ?? null,
    searchPath: env.PATH,
    noSandbox: env.BROWSER_NO_SANDBOX,
  });

/** Decides where the browsers of this worker run. */
export const openBrowsers = async (env: WorkerEnv, { log }: { log: Logger }): Promise<Browsers> => {
  const proxy = env.BROWSER === "worker" ? await createEgressProxy({ log, allow: env.EGRESS_ALLOW }) : null;
  const here = proxy && launchHere(env, proxy);
  const ending = new Set<Promise<void>>();
  return {
    forRun: (openSandbox) =>
      env.BROWSER === "off" ? null : createRunBrowser({ launch: here ?? sandboxBrowser(openSandbox), log }),
    leave: (browser) => {
      if (browser === null) return;
      const end = browser.close().finally(() => ending.delete(end));
      ending.add(end);
    },
    close: async () => {
      await Promise.all(ending);
      await proxy?.close();
    },
  };
};
