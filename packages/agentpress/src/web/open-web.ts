import type { SafeFetch } from "@cortex/egress";
import { createPageReader } from "./page-reader.ts";
import type { SearchProvider } from "./search.ts";
import type { Web } from "./web.ts";

/** One for all runs of a process: it bounds how many pages are read at once. */
export const openWeb = (parts: { fetch: SafeFetch; search: SearchProvider | null }): Web => ({
  ...parts,
  pages: createPageReader(),
});
