import type { AgentBrowser, Extract, PageView } from "@cortex/browser/port";
import { ToolFailure } from "./errors.ts";
import type { ToolContext } from "./tool-context.ts";

/** Above `navigateMs + settleMs + answerMs` of the browser and its start: its own limits are first, and say what hung. */
export const browserToolMs = 150_000;

/** @throws ToolFailure when this run has none */
export const browserOf = async ({ openBrowser }: ToolContext): Promise<AgentBrowser> => {
  if (openBrowser === undefined) throw new ToolFailure("This run has no browser.");
  return openBrowser();
};

/** What is shown and what happened, before whatever the page itself says. */
export const pageHead = ({ url, title, notes }: Pick<Extract, "url" | "title" | "notes">): string =>
  [`Page: ${title} <${url.slice(0, 2_000)}>`, ...notes.map((note) => `[${note}]`)].join("\n");

export const pageAnswer = (view: PageView): string => `${pageHead(view)}\n\n${view.snapshot}`;
