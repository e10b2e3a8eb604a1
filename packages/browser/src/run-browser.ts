import { AppError } from "@cortex/contracts";
import type { Logger } from "@cortex/observability";
import type { BrowserContext, Page } from "playwright-core";
import { act } from "./act.ts";
import type { Launch, Launched } from "./launched.ts";
import { defaultPatience, maxPageHeight, navigateMs, settleMs, viewport } from "./limits.ts";
import { navigationError } from "./page-errors.ts";
import type { AgentBrowser, PageView } from "./port.ts";
import { answers, cut, heightOf, readPage, shortSnapshot, snapshotOf, titleOf } from "./read-page.ts";
import { keepTabs, type Tabs } from "./tab-keeper.ts";

interface Open {
  launched: Launched;
  context: BrowserContext;
  tabs: Tabs;
  /** The page that the model saw last: its refs are of that one, whatever has opened since. */
  shown: Page | null;
}

/** The browser of one run, and how whoever keeps the run ends it. */
export interface RunBrowser extends AgentBrowser {
  /** Ends the browser if there is one. Never throws; afterwards nothing of it is left, and it starts no more. */
  close(): Promise<void>;
}

/** How long an element may take to be there, and a page to show that it does not hang; milliseconds. */
export interface Patience {
  actMs: number;
  hangMs: number;
}

const jpegQuality = 80;

/** @throws AppError `validation_failed` */
const addressFrom = (text: string, { refuses }: Launched): string => {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null)
    throw new AppError(
      "validation_failed",
      "This is not a complete address; write for instance http://localhost:3000.",
    );
  const why = url.href.length > 8_192 ? "The address is too long." : refuses(url);
  if (why !== null) throw new AppError("validation_failed", why);
  return url.href;
};

/** A browser that starts when the first page is opened, with one context that nothing of other runs is in. */
export const createRunBrowser = (
  deps: { launch: Launch; log: Logger },
  { actMs, hangMs }: Patience = defaultPatience,
): RunBrowser => {
  const { launch, log } = deps;
  const closing = new AbortController();
  let opening: Promise<Open> | null = null;
  /** Why the page is gone that the model may think of. */
  let lost: string | null = null;

  const start = async (signal: AbortSignal): Promise<Open> => {
    const startedAt = performance.now();
    const launched = await launch(AbortSignal.any([signal, closing.signal]));
    try {
      const context = await launched.browser.newContext({
        viewport,
        acceptDownloads: false,
        serviceWorkers: "block",
        ...launched.context,
      });
      log.info({ start_ms: Math.round(performance.now() - startedAt) }, "browser started");
      return { launched, context, tabs: keepTabs(context), shown: null };
    } catch (error) {
      await launched.end();
      throw new AppError("unavailable", "The browser did not start.", {}, { cause: error });
    }
  };

  /** One start at a time; one that failed, or a browser that ended, is forgotten, so that the next page starts another. */
  const opened = (signal: AbortSignal): Promise<Open> => {
    if (closing.signal.aborted) throw new AppError("conflict", "The run is over.");
    if (opening !== null) return opening;
    const mine = start(signal);
    opening = mine;
    const forget = (why: string | null): void => {
      if (opening !== mine) return;
      opening = null;
      lost = why;
    };
    mine.then(
      ({ launched }) =>
        void launched.ended.then(async (how) => {
          if (!closing.signal.aborted) log.warn({ how }, "a browser ended before its run");
          forget(`${how} The page it showed is gone; open it again.`);
          await launched.end();
        }),
      () => forget(null),
    );
    return mine;
  };

  const current = async (wanted: "newest" | "shown"): Promise<{ open: Open; page: Page }> => {
    const open = await opening;
    const shown = wanted === "shown" && open?.shown?.isClosed() === false ? open.shown : null;
    const page = shown ?? open?.tabs.current() ?? null;
    if (open !== null && page !== null) {
      open.shown = page;
      return { open, page };
    }
    const why = lost ?? "No page is open in the browser.";
    lost = null;
    throw new AppError("conflict", `${why} Begin with browser_navigate.`);
  };

  /** Whatever fails while the browser ends fails because of that; what fails in a page may have had its effect. */
  const withPage = async <Result>(
    signal: AbortSignal,
    work: (page: Page, open: Open) => Promise<Result>,
    wanted: "newest" | "shown" = "newest",
  ): Promise<Result> => {
    const { open, page } = await current(wanted);
    try {
      return await work(page, open);
    } catch (error) {
      signal.throwIfAborted();
      if (!open.launched.browser.isConnected()) {
        throw new AppError(
          "unavailable",
          "The browser ended meanwhile; the page it showed is gone.",
          {},
          { cause: error },
        );
      }
      if (error instanceof AppError && (error.code !== "unavailable" || page.isClosed())) throw error;
      const unknown = (text: string) => new AppError("unavailable", text, {}, { cause: error });
      if (page.isClosed()) throw unknown("The page was closed meanwhile.");
      if (await answers(page, hangMs))
        throw error instanceof AppError ? error : unknown("The page could not be read in time.");
      // It would hold up every later call as well, and whatever it shares its process with.
      open.tabs.shutAll();
      throw unknown("The page stopped answering; all pages were closed.");
    }
  };

  const settle = async (page: Page, signal: AbortSignal): Promise<void> => {
    // What loads longer than that is looked at as far as it is.
    await page.waitForLoadState("load", { timeout: settleMs, signal }).catch(() => null);
    signal.throwIfAborted();
  };
  /** A navigation that failed may still be showing its error page, which would come between the next one: the page goes with it. */
  const go = async (page: Page, url: string, { launched, tabs }: Open, signal: AbortSignal): Promise<void> => {
    try {
      const answer = await page.goto(url, { timeout: navigateMs, waitUntil: "domcontentloaded", signal });
      const status = answer?.status() ?? 0;
      if (status >= 400) tabs.note(`The server answered with status ${status}.`);
    } catch (error) {
      await page.close().catch(() => null);
      signal.throwIfAborted();
      throw navigationError(error, url, launched.networkNote);
    }
  };
  /** What is shown now: what was done to a page may have opened another. */
  const look = async (before: Page, open: Open, signal: AbortSignal): Promise<PageView> => {
    await settle(before, signal);
    const { tabs } = open;
    const page = tabs.current() ?? before;
    open.shown = page;
    if (page !== before) await settle(page, signal);
    const snapshot = shortSnapshot(await snapshotOf(page, signal));
    return { url: page.url(), title: await titleOf(page, signal), snapshot, notes: tabs.takeNotes() };
  };

  return {
    navigate: async (address, signal) => {
      const open = await opened(signal);
      const url = addressFrom(address, open.launched);
      lost = null;
      if (open.tabs.current() === null) await open.context.newPage();
      return withPage(signal, async (page) => {
        await go(page, url, open, signal);
        return look(page, open, signal);
      });
    },
    act: (action, signal) =>
      withPage(
        signal,
        async (page, open) => {
          await act(page, action, { timeout: actMs, signal });
          return look(page, open, signal);
        },
        "shown",
      ),
    extract: ({ what, ...part }, signal) =>
      withPage(signal, async (page, { tabs }) => ({
        ...cut(await readPage(page, what, signal), part),
        url: page.url(),
        title: await titleOf(page, signal),
        notes: tabs.takeNotes(),
      })),
    screenshot: ({ type, fullPage }, signal) =>
      withPage(signal, async (page, { tabs }) => {
        const height = fullPage ? Math.min(maxPageHeight, await heightOf(page, signal)) : viewport.height;
        const clip = { x: 0, y: 0, width: viewport.width, height: Math.max(viewport.height, height) };
        const bytes = await page.screenshot({
          type,
          ...(type === "jpeg" ? { quality: jpegQuality } : {}),
          ...(fullPage ? { fullPage, clip } : {}),
          animations: "disabled",
          scale: "css",
          timeout: navigateMs,
          signal,
        });
        const [mediaType, title] = [`image/${type}` as const, await titleOf(page, signal)];
        return { url: page.url(), title, bytes, mediaType, notes: tabs.takeNotes() };
      }),
    close: async () => {
      closing.abort(new AppError("conflict", "The run is over."));
      const open = await opening?.catch(() => null);
      await open?.launched.end();
    },
  };
};
