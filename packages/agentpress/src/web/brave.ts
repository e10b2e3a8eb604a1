import type { SafeFetch } from "@cortex/egress";
import { z } from "zod";
import type { Recency, SearchProvider } from "./search.ts";
import { askVendor, cleaned } from "./search-vendor.ts";

const text = z.string().catch("");

/** Without results there is no `web` at all. */
const Answer = z.object({
  type: z.literal("search"),
  web: z
    .object({
      results: z.array(
        z.object({
          title: text,
          url: z.string(),
          description: text,
          page_age: z.string().nullish().catch(null),
        }),
      ),
    })
    .nullish(),
});

const freshness: Readonly<Record<Recency, string>> = { day: "pd", week: "pw", month: "pm", year: "py" };

/** Brave's web search API. https://api-dashboard.search.brave.com/api-reference/web/search/get */
export const createBraveSearch = (
  deps: { fetch: SafeFetch },
  options: { apiKey: string; baseUrl?: string },
): SearchProvider => ({
  name: "Brave Search",
  search: async ({ text: query, maxResults, recency, site }, signal) => {
    const parameters = new URLSearchParams({
      q: site === null ? query : `${query} site:${site}`,
      count: String(maxResults),
      result_filter: "web",
      text_decorations: "false",
      ...(recency === null ? {} : { freshness: freshness[recency] }),
    });
    const answer = await askVendor(
      { name: "Brave Search", setting: "BRAVE_API_KEY", fetch: deps.fetch },
      {
        url: `${options.baseUrl ?? "https://api.search.brave.com"}/res/v1/web/search?${parameters.toString()}`,
        request: { headers: { "x-subscription-token": options.apiKey, accept: "application/json" } },
        schema: Answer,
        // A wrong key is a validation error of its header.
        judge: (status, body) => (status === 422 && body.includes("SUBSCRIPTION_TOKEN") ? "key" : null),
      },
      signal,
    );
    const pages = (answer.web?.results ?? []).map(({ title, url, description, page_age }) => ({
      title,
      url,
      snippet: description,
      published: page_age ?? null,
    }));
    return cleaned(pages, maxResults);
  },
});
