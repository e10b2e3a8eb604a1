import type { SafeFetch } from "@cortex/egress";
import { z } from "zod";
import type { SearchProvider } from "./search.ts";
import { askVendor, cleaned } from "./search-vendor.ts";

const text = z.string().catch("");

const Answer = z.object({
  results: z.array(
    z.object({ title: text, url: z.string(), content: text, published_date: z.string().nullish().catch(null) }),
  ),
});

/** Tavily's search API. https://docs.tavily.com/documentation/api-reference/endpoint/search */
export const createTavilySearch = (
  deps: { fetch: SafeFetch },
  options: { apiKey: string; baseUrl?: string },
): SearchProvider => ({
  name: "Tavily",
  search: async ({ text: query, maxResults, recency, site }, signal) => {
    const body = {
      query,
      max_results: maxResults,
      ...(recency === null ? {} : { time_range: recency }),
      ...(site === null ? {} : { include_domains: [site] }),
    };
    const answer = await askVendor(
      { name: "Tavily", setting: "TAVILY_API_KEY", fetch: deps.fetch },
      {
        url: `${options.baseUrl ?? "https://api.tavily.com"}/search`,
        request: {
          method: "POST",
          headers: { authorization: `Bearer ${options.apiKey}`, "content-type": "application/json" },
          body: JSON.stringify(body),
        },
        schema: Answer,
      },
      signal,
    );
    const pages = answer.results.map(({ title, url, content, published_date }) => ({
      title,
      url,
      snippet: content,
      published: published_date ?? null,
    }));
    return cleaned(pages, maxResults);
  },
});
