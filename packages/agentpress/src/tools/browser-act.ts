import type { BrowserAction } from "@cortex/browser/port";
import { z } from "zod";
import { browserOf, browserToolMs, pageAnswer } from "../browser-answers.ts";
import { ToolFailure } from "../errors.ts";
import { defineTool } from "../tool.ts";

const schema = z.strictObject({
  action: z.enum(["click", "double_click", "hover", "type", "press", "select", "scroll", "back", "forward"]),
  ref: z
    .string()
    .max(20)
    .optional()
    .describe(
      "The element, from the last snapshot, for instance e12. Not for back and forward; press and scroll may go without.",
    ),
  text: z.string().max(20_000).optional().describe("type: the whole new content of the field."),
  submit: z.boolean().optional().describe("type: press Enter afterwards."),
  key: z.string().max(50).optional().describe("press: a key or chord, for instance Enter, ArrowDown, Control+a."),
  values: z.array(z.string().max(1_000)).max(100).optional().describe("select: values or labels of the options."),
  direction: z.enum(["up", "down"]).optional().describe("scroll: by most of a screen. Default down."),
});
type Input = z.output<typeof schema>;

const needed = <Value>(value: Value | undefined, name: string, action: string): Value => {
  if (value === undefined) throw new ToolFailure(`${action} needs ${name}.`);
  return value;
};

const actionFrom = ({ action, ref, ...rest }: Input): BrowserAction => {
  const element = () => needed(ref, "a ref of the last snapshot", action);
  switch (action) {
    case "click":
      return { kind: "click", ref: element() };
    case "double_click":
      return { kind: "click", ref: element(), double: true };
    case "hover":
      return { kind: "hover", ref: element() };
    case "type":
      return { kind: "type", ref: element(), text: needed(rest.text, "text", action), submit: rest.submit ?? false };
    case "press":
      return { kind: "press", key: needed(rest.key, "a key", action), ref: ref ?? null };
    case "select":
      return { kind: "select", ref: element(), values: needed(rest.values, "values", action) };
    case "scroll":
      return { kind: "scroll", ref: ref ?? null, direction: rest.direction ?? "down" };
    case "back":
    case "forward":
      return { kind: action };
  }
};

/** Once: nobody knows what a button does. */
export const tool = defineTool({
  name: "browser_act",
  title: "Act in page",
  description:
    "Does one thing in the page that browser_navigate has opened, and answers with a snapshot of the page as it is then. Elements are named by their ref in the " +
    "last snapshot; a new snapshot has new refs.",
  icon: "mouse-pointer-click",
  effect: "once",
  untrusted: true,
  parallel: false,
  // Scrolling on, the next arrow key, the next page by the same button.
  polls: true,
  schema,
  timeoutMs: browserToolMs,
  maxResultChars: 30_000,
  execute: async (input, context) => {
    const action = actionFrom(input);
    const browser = await browserOf(context);
    return pageAnswer(await browser.act(action, context.signal));
  },
});
