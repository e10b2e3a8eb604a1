import type { SafeFetch } from "@cortex/egress";
import type { PageReader } from "./page-reader.ts";
import type { SearchProvider } from "./search.ts";

/** The way out for tools. */
export interface Web {
  /** The only way to addresses that a model names. */
  fetch: SafeFetch;
  /** Null: no search provider is configured. */
  search: SearchProvider | null;
  pages: PageReader;
}
