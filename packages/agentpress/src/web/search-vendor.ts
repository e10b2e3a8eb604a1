import { setTimeout as sleep } from "node:timers/promises";
import { EgressError, type SafeFetch, type SafeRequest, type SafeResponse } from "@cortex/egress";
import type { z } from "zod";
import { ToolFailure } from "../errors.ts";
import { headOf } from "../storable.ts";
import type { FoundPage } from "./search.ts";

/** One try. Three of them and both waits end before the time limit of `web_search` (60 s): 3 × 15 + 2 × 3 = 51. */
const tryMs = 15_000;
/** Waits before the second and the third try, unless the vendor asks for another. */
const waitsMs = [500, 2_000];
/** A wait that is longer is the model's decision. */
const maxWaitMs = 3_000;

/** Above any answer to 20 results. Bytes. */
const maxAnswerBytes = 2 * 1024 * 1024;

export interface Vendor {
  name: string;
  /** The setting that holds its key, for whoever can correct it. */
  setting: string;
  fetch: SafeFetch;
}

/** What a refusal means, where a vendor has ways of its own to say so. */
export type Refusal = "key" | "used_up" | "limited" | "query" | "down";

const refusalOf = (status: number): Refusal => {
  if (status === 401 || status === 403) return "key";
  // 432 and 433 are Tavily's limits of a plan and of pay-as-you-go.
  if (status === 402 || status === 432 || status === 433) return "used_up";
  if (status === 429) return "limited";
  return status >= 500 ? "down" : "query";
};

/** Seconds as vendors write them: one number, or one for each of their windows, of which the first is the one that opens next. */
const askedWaitMs = (response: SafeResponse): number | null => {
  const header = response.headers.get("retry-after") ?? response.headers.get("x-ratelimit-reset") ?? "";
  const seconds = /^\s*(\d{1,9})(?:\s*,|\s*$)/.exec(header)?.[1];
  return seconds === undefined ? null : Number(seconds) * 1_000;
};

const failureFor = ({ name, setting }: Vendor, refusal: Refusal, waitMs: number | null): ToolFailure => {
  switch (refusal) {
    case "key":
      return new ToolFailure(
        `${name} refused our key, so the web cannot be searched. Whoever runs this installation has to correct ${setting}.`,
      );
    case "used_up":
      return new ToolFailure(
        `The plan for ${name} is used up, so the web cannot be searched for now. Go on without, or tell the user.`,
      );
    case "limited": {
      const later = waitMs === null ? "in a minute" : `in ${Math.ceil(waitMs / 1_000)} s`;
      return new ToolFailure(`${name} limits how often we search. Try again ${later}, or go on without.`);
    }
    case "query":
      return new ToolFailure(`${name} refused this query. Ask in other words: shorter, without special operators.`);
    case "down":
      return new ToolFailure(`${name} cannot be reached just now. Try again later, or go on without.`);
  }
};

/**
 * One question to a vendor's API, asked again a few times where that may help.
 * @param input.judge what a refusal means, if this vendor says it in the body; null: as its status says
 * @throws ToolFailure with a sentence for the model, which holds nothing of what the vendor wrote
 */
export const askVendor = async <Schema extends z.ZodType>(
  vendor: Vendor,
  input: {
    url: string;
    request: SafeRequest;
    schema: Schema;
    judge?: (status: number, body: string) => Refusal | null;
  },
  signal: AbortSignal,
): Promise<z.output<Schema>> => {
  for (let tries = 0; ; tries += 1) {
    let refusal: Refusal = "down";
    let waitMs: number | null = null;
    let body: string | null = null;
    try {
      // A vendor's API redirects nobody, and our key goes nowhere else.
      const limits = { totalMs: tryMs, maxBytes: maxAnswerBytes, maxRedirects: 0 };
      const response = await vendor.fetch(input.url, { ...input.request, limits, signal });
      const text = new TextDecoder().decode(await response.bytes());
      if (response.status >= 200 && response.status < 300) body = text;
      else {
        refusal = input.judge?.(response.status, text) ?? refusalOf(response.status);
        waitMs = askedWaitMs(response);
      }
    } catch (error) {
      if (!(error instanceof EgressError)) throw error;
      if (!error.retryable && error.code !== "bad_response") throw failureFor(vendor, "down", null);
    }
    if (body !== null) return parsed(vendor, body, input.schema);
    const pause = waitMs ?? waitsMs[tries];
    const mayPass = refusal === "limited" || refusal === "down";
    if (!mayPass || tries >= waitsMs.length || pause === undefined || pause > maxWaitMs)
      throw failureFor(vendor, refusal, waitMs);
    await sleep(pause, undefined, { signal });
  }
};

const parsed = <Schema extends z.ZodType>(vendor: Vendor, body: string, schema: Schema): z.output<Schema> => {
  let value: unknown = null;
  try {
    value = JSON.parse(body);
  } catch {
    // Said below: null fits no schema of an answer.
    value = null;
  }
  const answer = schema.safeParse(value);
  if (answer.success) return answer.data;
  throw new ToolFailure(
    `${vendor.name} answered with something that is no list of results. Try again later, or go on without.`,
  );
};

/** Bounds of one result: what vendors send beyond it is a whole page. Characters. */
const maxTitleChars = 300;
const maxSnippetChars = 1_500;

const oneLine = (text: string, maxChars: number): string => headOf(text.replaceAll(/\s+/g, " ").trim(), maxChars);

/** Pages that can be fetched, within bounds. */
export const cleaned = (pages: readonly FoundPage[], maxResults: number): FoundPage[] =>
  pages
    .filter(({ url }) => url.length <= 2_000 && /^https?:\/\/\S+$/.test(url))
    .slice(0, maxResults)
    .map(({ title, url, snippet, published }) => ({
      title: oneLine(title, maxTitleChars),
      url,
      snippet: oneLine(snippet, maxSnippetChars),
      published: published === null ? null : oneLine(published, 40),
    }));
