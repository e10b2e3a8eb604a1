import type { AgentBrowser, Screenshot } from "@cortex/browser/port";
import { absoluteWorkspacePath, parseWorkspacePath } from "@cortex/sandbox/port";
import { z } from "zod";
import { browserOf, browserToolMs, pageHead } from "../browser-answers.ts";
import type { ToolImage } from "../messages.ts";
import { defineTool } from "../tool.ts";

/** Bytes of a picture that is shown, below the megabyte that a tool's picture may have as base64. */
const maxShownBytes = 700_000;

const imageOf = ({ bytes, mediaType }: Screenshot): ToolImage | null =>
  bytes.length > maxShownBytes ? null : { mediaType, data: Buffer.from(bytes).toString("base64") };

/** The picture for the model: the one that is kept, or a smaller one of what is in view. */
const shownOf = async (browser: AgentBrowser, kept: Screenshot, signal: AbortSignal): Promise<ToolImage | null> =>
  imageOf(kept) ?? imageOf(await browser.screenshot({ type: "jpeg", fullPage: false }, signal));

export const tool = defineTool({
  name: "browser_screenshot",
  title: "Screenshot",
  description:
    "Takes a picture of the page that is open in the browser, puts it into the workspace and shows it to you if you can see images. " +
    "A picture that is too large to be shown whole is shown as what is in view.",
  icon: "camera",
  effect: "idempotent",
  untrusted: true,
  parallel: false,
  polls: true,
  schema: z.strictObject({
    path: z
      .string()
      .max(1_000)
      .optional()
      .describe(
        "Where to, inside /workspace, ending in .png or .jpg; what is there is replaced. Default screenshot.png.",
      ),
    full_page: z.boolean().optional().describe("All of the page instead of what is in view. Default false."),
  }),
  timeoutMs: browserToolMs,
  maxResultChars: 10_000,
  execute: async ({ path = "screenshot.png", full_page: fullPage = false }, context) => {
    const target = parseWorkspacePath(path);
    const type = /\.jpe?g$/i.test(target) ? "jpeg" : "png";
    const browser = await browserOf(context);
    const kept = await browser.screenshot({ type, fullPage }, context.signal);
    const { files } = await context.openSandbox();
    const entry = await files.write(target, kept.bytes, {}, context.signal);
    const shown = await shownOf(browser, kept, context.signal);
    const content = `${pageHead(kept)}\nThe picture is ${absoluteWorkspacePath(target)} (${entry.size} bytes).`;
    return { content, images: shown === null ? [] : [shown] };
  },
});
