import { absoluteWorkspacePath, parseWorkspacePath } from "@cortex/sandbox/port";
import { z } from "zod";
import { ToolFailure } from "../errors.ts";
import type { ToolContext } from "../tool-context.ts";

/** What the helpers work on at once: beyond it a program in the sandbox is the better tool. Bytes, and characters. */
export const maxSourceBytes = 1_000_000;

/** The two ways of giving a helper its text, for a tool's schema. */
export const sourceFields = {
  text: z.string().max(maxSourceBytes).optional().describe("The text itself. Either this or path."),
  path: z.string().min(1).optional().describe("A UTF-8 file inside /workspace, up to 1 MB. Either this or text."),
};

/** The text that a call is about. @throws ToolFailure neither or both are given, or the file is no text of that size */
export const readSource = async (
  source: { text?: string | undefined; path?: string | undefined },
  context: Pick<ToolContext, "openSandbox" | "signal">,
): Promise<string> => {
  if ((source.text === undefined) === (source.path === undefined)) throw new ToolFailure("Give either text or path.");
  if (source.text !== undefined) return source.text;
  const path = parseWorkspacePath(source.path ?? "");
  const { files } = await context.openSandbox();
  const bytes = await files.read(path, { maxBytes: maxSourceBytes }, context.signal);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (error) {
    throw new ToolFailure(`${absoluteWorkspacePath(path)} is not a UTF-8 text file.`, { cause: error });
  }
};
