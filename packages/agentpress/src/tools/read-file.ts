import { absoluteWorkspacePath, type FileStream, parseWorkspacePath } from "@cortex/sandbox/port";
import { z } from "zod";
import { ToolFailure } from "../errors.ts";
import { defineTool } from "../tool.ts";

/** Lines of one answer, and characters of one line: a model reads on with the next range. */
const maxLines = 2_000;
const maxLineChars = 2_000;

/** Characters of one answer, below the tool's `maxResultChars` so that the range and not the middle is cut. */
const maxChars = 50_000;

interface Excerpt {
  lines: string[];
  /** There are lines after the last one. */
  more: boolean;
}

const cutLine = (line: string): string =>
  line.length <= maxLineChars ? line : `${line.slice(0, maxLineChars).toWellFormed()} [… line cut …]`;

const isBinary = (chunk: Uint8Array): boolean => chunk.subarray(0, 8_000).includes(0);

/** Reads a file as a stream and keeps the wanted lines only; a line that never ends is cut while it is read. */
const excerptOf = async (stream: FileStream, first: number, last: number): Promise<Excerpt> => {
  const decoder = new TextDecoder();
  const lines: string[] = [];
  let line = "";
  let number = 1;
  let chars = 0;
  let begun = false;
  const take = (): boolean => {
    if (number > last) return false;
    if (number >= first) {
      const text = cutLine(line.endsWith("\r") ? line.slice(0, -1) : line);
      if (lines.length > 0 && chars + text.length > maxChars) return false;
      lines.push(text);
      chars += text.length;
    }
    number += 1;
    line = "";
    return true;
  };
  for await (const chunk of stream.body) {
    if (!begun && isBinary(chunk)) throw new ToolFailure("This is a binary file. Use execute_command to look into it.");
    begun = true;
    const pieces = decoder.decode(chunk, { stream: true }).split("\n");
    for (const [index, piece] of pieces.entries()) {
      if (index > 0 && !take()) return { lines, more: true };
      if (number > last && piece !== "") return { lines, more: true };
      if (line.length <= maxLineChars) line += piece.slice(0, maxLineChars + 1);
    }
  }
  if (line !== "" && number <= last && !take()) return { lines, more: true };
  return { lines, more: false };
};

export const tool = defineTool({
  name: "read_file",
  title: "Read file",
  description:
    "Reads a text file of the workspace and answers with its lines, numbered. Long files come in parts: ask for the next lines with start_line.",
  icon: "file-text",
  effect: "pure",
  schema: z.strictObject({
    path: z.string().min(1).describe("The file, inside /workspace."),
    start_line: z.int().min(1).optional().describe("First line, from 1. Default 1."),
    end_line: z.int().min(1).optional().describe("Last line, included. Default: as many as fit."),
  }),
  timeoutMs: 60_000,
  maxResultChars: 120_000,
  execute: async ({ path, start_line: first = 1, end_line }, { openSandbox, signal }) => {
    if (end_line !== undefined && end_line < first) throw new ToolFailure("end_line must not be before start_line.");
    const target = parseWorkspacePath(path);
    const { files } = await openSandbox();
    const last = Math.min(end_line ?? Number.MAX_SAFE_INTEGER, first + maxLines - 1);
    const stream = await files.readStream(target, {}, signal);
    const { lines, more } = await excerptOf(stream, first, last);
    const name = absoluteWorkspacePath(target);
    if (lines.length === 0) return first === 1 ? `${name} is empty.` : `${name} has fewer than ${first} lines.`;
    const width = String(first + lines.length - 1).length;
    const numbered = lines.map((line, index) => `${String(first + index).padStart(width)}\t${line}`).join("\n");
    const reached = first + lines.length - 1;
    return more && end_line !== reached
      ? `${numbered}\n[There is more. Go on with start_line ${reached + 1}.]`
      : numbered;
  },
});
