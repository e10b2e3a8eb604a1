import { createBraveSearch, createTavilySearch, openWeb, type SearchProvider, type Web } from "@cortex/agentpress";
import { createSafeFetch, type SafeFetch } from "@cortex/egress";
import type { Logger } from "@cortex/observability";
import type { WorkerEnv } from "./env.ts";

const searchOf = (env: WorkerEnv, fetch: SafeFetch): SearchProvider | null => {
  const { SEARCH_PROVIDER: choice, TAVILY_API_KEY: tavily, BRAVE_API_KEY: brave } = env;
  if (tavily !== undefined && (choice === "auto" || choice === "tavily"))
    return createTavilySearch({ fetch }, { apiKey: tavily });
  if (brave !== undefined && (choice === "auto" || choice === "brave"))
    return createBraveSearch({ fetch }, { apiKey: brave });
  return null;
};

/** What this worker's tools use to reach the web. Opens nothing: a machine without a network notices at the first page. */
export const openWayOut = (env: WorkerEnv, { log }: { log: Logger }): Web => {
  const fetch = createSafeFetch({ allow: env.EGRESS_ALLOW, log });
  const search = searchOf(env, fetch);
  if (search) log.info({ search: search.name }, "agents can search the web");
  else log.info("agents cannot search the web: set TAVILY_API_KEY or BRAVE_API_KEY");
  return openWeb({ fetch, search });
};
