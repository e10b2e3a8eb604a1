import { type Line, callTool, say } from "../answer.ts";
import type { OfferedTool } from "../request/tools.ts";
import { hasArgument, toolArguments } from "../tool-arguments.ts";
import { readFileContent, readOutcome } from "../tool-result.ts";
import { type Turn, offeredTool, resultsOf } from "../turn.ts";
import { findPath, firstListedFile } from "./file-names.ts";
import { quoteOutput } from "./quoted-output.ts";

/**
 * "Summarise the uploaded file report.md": `read_file`, preceded by `list_files` if the prompt names no file, then a summary made
 * of what came back: how long it is and how it begins. It understands nothing, and claims nothing else.
 */
export function summariseScene(turn: Turn): Line | null {
  if (!/\bsummar(?:y|ise|ize|ising|izing)\b/i.test(turn.prompt)) return null;
  const read = offeredTool(turn, "read_file");
  if (read === null) return say("For this I would call the tool `read_file`, but it is not offered to me.");
  const content = resultsOf(turn, "read_file").at(-1);
  if (content !== undefined) {
    const outcome = readFileContent(content);
    if (outcome.failed) return say(`I could not read the file. The tool said:\n\n${quoteOutput(outcome.text)}`);
    return say(summary(outcome.text));
  }
  const named = findPath(turn.prompt) ?? turn.fileNames[0];
  if (named !== undefined) return readFile(turn, named);
  const list = offeredTool(turn, "list_files");
  if (list === null) return say("Which file? Name it, and I read it.");
  const listing = resultsOf(turn, "list_files").at(-1);
  if (listing === undefined) return callTool("I look for the uploaded file.", list, listingArguments(list));
  const outcome = readOutcome(listing);
  const found = outcome.failed ? null : firstListedFile(outcome.text);
  if (found === null) return say(`I found no file to summarise. The tool said:\n\n${quoteOutput(outcome.text)}`);
  return readFile(turn, found);
}

/** Uploads lie in a folder of their own, so the listing has to go below the top if the tool can. */
function listingArguments(list: OfferedTool): Record<string, string | number> {
  const args = toolArguments(list, [[".", ["path", "folder", "dir"]]]);
  return hasArgument(list, "depth") ? { ...args, depth: 3 } : args;
}

function readFile(turn: Turn, path: string): Line {
  const read = offeredTool(turn, "read_file");
  if (read === null) return say("The tool `read_file` is not offered to me.");
  return callTool(`I read ${path}.`, read, toolArguments(read, [[path, ["path", "file"]]]));
}

const MAX_SENTENCE = 300;

function summary(text: string): string {
  const trimmed = text.trim();
  if (trimmed === "") return "The file is empty.";
  const lines = trimmed.split("\n").length;
  const words = trimmed.split(/\s+/).length;
  const count = (amount: number, noun: string): string => `${amount} ${noun}${amount === 1 ? "" : "s"}`;
  const size = `${count(lines, "line")}, ${count(words, "word")} and ${count(Array.from(trimmed).length, "character")}`;
  const title = /^#+ +([^\n]+)/.exec(trimmed)?.[1];
  const body = trimmed.replace(/^(?:#[^\n]*\s*)+/, "");
  const titled = title === undefined ? "" : ` Its title is “${title}”.`;
  return `I was given ${size} of it.${titled}${body === "" ? "" : ` It begins: “${firstSentence(body)}”`}`;
}

function firstSentence(text: string): string {
  const paragraph = text.split(/\n\s*\n/)[0]?.replaceAll(/\s+/g, " ") ?? text;
  const sentence = /^.*?[.!?](?=\s|$)/.exec(paragraph)?.[0] ?? paragraph;
  return sentence.length > MAX_SENTENCE ? `${sentence.slice(0, MAX_SENTENCE)}…` : sentence;
}
