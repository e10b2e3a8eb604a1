/** How new a page must be. */
export type Recency = "day" | "week" | "month" | "year";

export interface SearchQuery {
  text: string;
  /** From 1 to 20. */
  maxResults: number;
  recency: Recency | null;
  /** Only pages of this domain. */
  site: string | null;
}

export interface FoundPage {
  title: string;
  url: string;
  /** What the provider shows of the page; may be empty. */
  snippet: string;
  /** When it was published or last changed, as the provider writes it; null: it does not say. */
  published: string | null;
}

/** Somebody who searches the web. */
export interface SearchProvider {
  readonly name: string;
  /** Best first; none is an answer too. @throws ToolFailure with a sentence for the model */
  search(query: SearchQuery, signal: AbortSignal): Promise<readonly FoundPage[]>;
}

/** The longest query that every provider takes. Characters. */
export const maxQueryChars = 400;
