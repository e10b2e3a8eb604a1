import { setTimeout as delay } from "node:timers/promises";
import type { Page } from "playwright-core";
import { answerMs, maxSnapshotChars } from "./limits.ts";
import type { ExtractInput } from "./port.ts";

/** Links of a page at most. */
const maxLinks = 500;

const tries = 4;

/** Runs in the page, which may be hostile: what comes back is taken as text of any content, and cut again here. */
const linksOfPage = (limit: number): string => {
  const lines: string[] = [];
  for (const anchor of Array.from(document.querySelectorAll<HTMLAnchorElement>("a[href]"))) {
    if (lines.length >= limit) break;
    const text = (anchor.innerText || anchor.getAttribute("aria-label") || "").replaceAll(/\s+/g, " ").trim();
    lines.push(`${text.slice(0, 200)} <${anchor.href.slice(0, 2_000)}>`);
  }
  return lines.join("\n");
};

const within = async <Result>(work: Promise<Result>, over: AbortSignal): Promise<Result> => {
  over.throwIfAborted();
  const late = new Promise<never>((_, reject) => {
    over.addEventListener("abort", () => reject(over.reason), { once: true });
  });
  // Left behind, it may still fail; nobody listens any more.
  work.catch(() => null);
  return Promise.race([work, late]);
};

/**
 * A question to the page, for so long as a page may take that does not hang. It is asked again: one that was asked while its document was replaced, as that of
 * a page that has just been opened is, may never be answered.
 */
const ask = async <Result>(question: () => Promise<Result>, signal: AbortSignal): Promise<Result> => {
  for (let left = tries - 1; ; left--) {
    try {
      return await within(question(), AbortSignal.any([signal, AbortSignal.timeout(answerMs / tries)]));
    } catch (error) {
      signal.throwIfAborted();
      if (left === 0 || !(error instanceof Error && error.name === "TimeoutError")) throw error;
    }
  }
};

/** Does the page's own script still get its turn? */
export const answers = async (page: Page, hangMs: number): Promise<boolean> => {
  const asked = page.evaluate(() => true).catch(() => false);
  return Promise.race([asked, delay(hangMs, false, { ref: false })]);
};

/** The roles and names on a page, with refs; all of it. */
export const snapshotOf = async (page: Page, signal: AbortSignal): Promise<string> => {
  // A document that was opened and never written has no body, and a snapshot of it would wait for one.
  const hasBody = await ask(() => page.evaluate(() => document.body !== null), signal);
  if (!hasBody) return "[the page is empty]";
  return ask(() => page.ariaSnapshot({ mode: "ai", timeout: answerMs, signal }), signal);
};

export const titleOf = async (page: Page, signal: AbortSignal): Promise<string> =>
  (await ask(() => page.title(), signal)).slice(0, 500);

/** @returns the text from `offset` on, and how many characters are behind it */
export const cut = (
  answer: unknown,
  { offset, maxChars }: Omit<ExtractInput, "what">,
): { text: string; rest: number } => {
  // A hostile page may answer with something else than the text that it was asked for.
  const text = typeof answer === "string" ? answer : "";
  const part = text.slice(offset, offset + maxChars);
  return { text: part.toWellFormed(), rest: Math.max(0, text.length - offset - part.length) };
};

export const shortSnapshot = (text: string): string => {
  const { text: part, rest } = cut(text, { offset: 0, maxChars: maxSnapshotChars });
  return rest === 0 ? part : `${part}\n[${rest} more characters: browser_extract shows them]`;
};

export const readPage = async (page: Page, what: ExtractInput["what"], signal: AbortSignal): Promise<string> => {
  switch (what) {
    case "snapshot":
      return snapshotOf(page, signal);
    case "links":
      return ask(() => page.evaluate(linksOfPage, maxLinks), signal);
    case "text":
      return ask(() => page.evaluate(() => document.body?.innerText ?? ""), signal);
  }
};

/** Pixels from top to bottom. */
export const heightOf = async (page: Page, signal: AbortSignal): Promise<number> => {
  const height = await ask(() => page.evaluate(() => document.documentElement.scrollHeight), signal);
  return typeof height === "number" && Number.isFinite(height) ? height : 0;
};
