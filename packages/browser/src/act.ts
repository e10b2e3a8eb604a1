import { AppError } from "@cortex/contracts";
import type { Locator, Page } from "playwright-core";
import { navigateMs, viewport } from "./limits.ts";
import { actionError } from "./page-errors.ts";
import type { BrowserAction } from "./port.ts";

const refPattern = /^(?:f\d{1,4})?e\d{1,7}$/;

/** An element that the last snapshot has named. */
const elementOf = (page: Page, ref: string): Locator => {
  if (!refPattern.test(ref)) {
    throw new AppError(
      "validation_failed",
      `"${ref.slice(0, 50)}" is no ref; they look like e12 and stand in the snapshot.`,
    );
  }
  return page.locator(`aria-ref=${ref}`);
};

const nameOf = (action: BrowserAction): string =>
  "ref" in action && action.ref !== null ? `${action.kind} of ${action.ref}` : action.kind;

const doIt = async (
  page: Page,
  action: BrowserAction,
  options: { timeout: number; signal: AbortSignal },
): Promise<void> => {
  switch (action.kind) {
    case "click": {
      const element = elementOf(page, action.ref);
      return action.double === true ? element.dblclick(options) : element.click(options);
    }
    case "hover":
      return elementOf(page, action.ref).hover(options);
    case "type": {
      const element = elementOf(page, action.ref);
      await element.fill(action.text, options);
      if (action.submit === true) await element.press("Enter", options);
      return;
    }
    case "press":
      if (action.ref !== null) return elementOf(page, action.ref).press(action.key, options);
      return page.keyboard.press(action.key);
    case "select":
      await elementOf(page, action.ref).selectOption([...action.values], options);
      return;
    case "scroll":
      if (action.ref !== null) return elementOf(page, action.ref).scrollIntoViewIfNeeded(options);
      return page.mouse.wheel(0, (action.direction === "down" ? 0.8 : -0.8) * viewport.height);
    case "back":
    case "forward": {
      const turn = { ...options, timeout: navigateMs, waitUntil: "commit" } as const;
      const answer = await (action.kind === "back" ? page.goBack(turn) : page.goForward(turn));
      if (answer === null && page.url() === "about:blank") {
        throw new AppError("conflict", `There is no page to go ${action.kind} to.`);
      }
    }
  }
};

/**
 * Does one thing to a page.
 * @param options.timeout milliseconds that an element may take to be there, visible and still
 * @throws AppError as `AgentBrowser` says; the signal's reason
 */
export const act = async (
  page: Page,
  action: BrowserAction,
  options: { timeout: number; signal: AbortSignal },
): Promise<void> => {
  try {
    await doIt(page, action, options);
  } catch (error) {
    options.signal.throwIfAborted();
    throw error instanceof AppError ? error : actionError(error, nameOf(action));
  }
};
