import { type Line, callTool, say } from "../answer.ts";
import { toolArguments } from "../tool-arguments.ts";
import { readCommandOutput, readFileContent, readWritten } from "../tool-result.ts";
import { type Turn, offeredTool, resultsOf } from "../turn.ts";
import { findPath } from "./file-names.ts";
import { quoteOutput, shellQuote } from "./quoted-output.ts";

const DEFAULT_PATH = "hello.txt";
const DEFAULT_CONTENT = "Hello from the sandbox of Cortex.\n";

/**
 * "Write a file notes.txt with the text “…” and show it": `create_file`, then `cat` in the shell (or `read_file`), then what came
 * back. The answer shows the content of the tool message, not what the script meant to write.
 */
export function writeFileScene(turn: Turn): Line | null {
  if (!/\b(?:write|create|make|save)\b[^.!?]*\bfile\b/i.test(turn.prompt)) return null;
  const path = findPath(turn.prompt) ?? DEFAULT_PATH;
  const create = offeredTool(turn, "create_file");
  if (create === null) return say("For this I would call the tool `create_file`, but it is not offered to me.");
  const written = resultsOf(turn, "create_file").at(-1);
  if (written === undefined) {
    const args = toolArguments(create, [
      [path, ["path", "file"]],
      [contentOf(turn.prompt), ["content", "text", "data", "body"]],
    ]);
    return callTool(`I will write the file ${path}.`, create, args);
  }
  const outcome = readWritten(written);
  if (outcome.failed) return say(`I could not write the file ${path}. The tool said:\n\n${quoteOutput(outcome.text)}`);
  return /\b(?:show|print|display|cat|read)\b/i.test(turn.prompt)
    ? showFile(turn, path)
    : say(`The file ${path} is written.`);
}

function showFile(turn: Turn, path: string): Line {
  const shell = offeredTool(turn, "execute_command");
  const read = offeredTool(turn, "read_file");
  const shown = resultsOf(turn, "execute_command", "read_file").at(-1);
  if (shown !== undefined) {
    const outcome = shown.tool === "read_file" ? readFileContent(shown) : readCommandOutput(shown);
    if (outcome.failed)
      return say(`I wrote ${path}, but could not show it. The tool said:\n\n${quoteOutput(outcome.text)}`);
    return say(`I wrote the file ${path}. This is what came back when I looked at it:\n\n${quoteOutput(outcome.text)}`);
  }
  if (shell !== null) {
    return callTool(
      "It is written. Now I show it.",
      shell,
      toolArguments(shell, [[`cat ${shellQuote(path)}`, ["command", "cmd"]]]),
    );
  }
  if (read !== null)
    return callTool("It is written. Now I read it.", read, toolArguments(read, [[path, ["path", "file"]]]));
  return say(`I wrote the file ${path}, but no tool is offered to show it.`);
}

/** The content that the prompt gives: a fenced block, or words in quotes after "with", "saying", …; else a greeting. */
function contentOf(prompt: string): string {
  const block = /```[^\n]*\n([\s\S]*?)```/.exec(prompt)?.[1];
  if (block !== undefined) return block;
  const words =
    /\b(?:with|containing|contains|saying|says|content|contents|text)\b[^"“'`]*(?:"([^"]+)"|“([^”]+)”|`([^`]+)`|'([^']+)')/i.exec(
      prompt,
    );
  const content = words?.slice(1).find((group) => group !== undefined);
  return content === undefined ? DEFAULT_CONTENT : `${content}\n`;
}
