import { z } from "zod";
import { browserOf, browserToolMs, pageAnswer } from "../browser-answers.ts";
import { defineTool } from "../tool.ts";

/** Idempotent, as fetching an address is meant to be: an attempt that takes over begins with a browser of its own and opens it again. */
export const tool = defineTool({
  name: "browser_navigate",
  title: "Open page",
  description:
    "Opens an address in the browser of this run and answers with a snapshot of the page: roles and names of what is on it, with a [ref=…] for each element " +
    "that browser_act takes. Look at what you have built with it: start the server in the background first, then open http://localhost:<port>.",
  icon: "globe",
  effect: "idempotent",
  untrusted: true,
  parallel: false,
  schema: z.strictObject({
    url: z.string().min(1).max(8_192).describe("The whole address, for instance http://localhost:3000/."),
  }),
  timeoutMs: browserToolMs,
  maxResultChars: 30_000,
  execute: async ({ url }, context) => {
    const browser = await browserOf(context);
    return pageAnswer(await browser.navigate(url, context.signal));
  },
});
