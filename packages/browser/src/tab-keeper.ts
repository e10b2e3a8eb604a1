import type { BrowserContext, Page } from "playwright-core";
import { maxPages } from "./limits.ts";

const maxNotes = 20;
const maxNoteChars = 300;

/** The pages of a browser: which one is looked at, and what they do while nobody looks. */
export interface Tabs {
  /** The newest page that is open; null if there is none. */
  current(): Page | null;
  /** Something to be said beside the next look. */
  note(text: string): void;
  /** Closes every page. */
  shutAll(): void;
  /** What happened since this was asked last. */
  takeNotes(): string[];
}

/** Keeps pages from waiting for a person, from filling the machine, and from bringing files. */
export const keepTabs = (context: BrowserContext): Tabs => {
  let notes: string[] = [];
  let left = 0;
  const open: Page[] = [];
  const note = (text: string): void => {
    if (notes.length < maxNotes) notes.push(text.replaceAll(/\s+/g, " ").slice(0, maxNoteChars).toWellFormed());
    else left++;
  };
  const forget = (page: Page): void => {
    const at = open.indexOf(page);
    if (at !== -1) open.splice(at, 1);
  };
  /** What fails because the page is gone already has been done. */
  const shut = (page: Page): void => void page.close().catch(() => null);

  context.on("page", (page) => {
    page.on("dialog", (dialog) => {
      // Otherwise a page that asks whether it may be left would never be left.
      const leaves = dialog.type() === "beforeunload";
      if (!leaves) note(`The page showed a dialog (${dialog.type()}), which was dismissed: ${dialog.message()}`);
      void (leaves ? dialog.accept() : dialog.dismiss()).catch(() => null);
    });
    page.on("download", (download) => {
      note(`A download was refused: ${download.suggestedFilename()}`);
      void download.cancel().catch(() => null);
    });
    page.on("filechooser", () => note("The page asked for a file, and was given none."));
    page.on("console", (message) => {
      if (message.type() === "error") note(`The page's console says: ${message.text()}`);
    });
    page.on("pageerror", (error) => note(`A script of the page failed: ${error.message}`));
    page.on("crash", () => {
      note("The page crashed and was closed.");
      shut(page);
    });
    page.on("close", () => forget(page));
    if (open.length >= maxPages) {
      note(`A further page was closed: ${maxPages} are open already.`);
      return shut(page);
    }
    if (open.length > 0)
      note("The page opened another one, which is shown now. When it is closed, the one before is shown again.");
    open.push(page);
  });
  return {
    current: () => open.at(-1) ?? null,
    note,
    shutAll: () => {
      for (const page of open.splice(0)) shut(page);
    },
    takeNotes: () => {
      const taken = left === 0 ? notes : [...notes, `${left} more of the kind.`];
      notes = [];
      left = 0;
      return taken;
    },
  };
};
