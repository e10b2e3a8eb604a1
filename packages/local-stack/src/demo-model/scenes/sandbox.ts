import { type Line, callTool, say } from "../answer.ts";
import { toolArguments } from "../tool-arguments.ts";
import { type ToolOutcome, readCommandOutput, readFileContent, readOutcome } from "../tool-result.ts";
import { type ToolResult, type Turn, offeredTool, resultsOf } from "../turn.ts";
import { findPath } from "./file-names.ts";
import { quoteOutput } from "./quoted-output.ts";

/** "Run `ls -la`": one call of `execute_command`, and what came back. */
export function runCommandScene(turn: Turn): Line | null {
  const command = commandOf(turn.prompt);
  if (command === null) return null;
  return oneCall(turn, {
    tool: "execute_command",
    argument: [command, ["command", "cmd"]],
    before: `I run \`${command}\` in the sandbox.`,
    after: `I ran \`${command}\`. This came back:`,
    read: readCommandOutput,
  });
}

/** "List the files". */
export function listFilesScene(turn: Turn): Line | null {
  if (!/\b(?:list|show)\b[^.!?]*\b(?:files|folder|directory|workspace)\b/i.test(turn.prompt)) return null;
  return oneCall(turn, {
    tool: "list_files",
    argument: [".", ["path", "folder", "dir"]],
    before: "I look into the workspace.",
    after: "I looked into the workspace. This came back:",
    read: readOutcome,
  });
}

/** "Read the file notes.txt", "show me notes.txt". */
export function readFileScene(turn: Turn): Line | null {
  const path = /\b(?:read|show|open|print|display)\b/i.test(turn.prompt) ? findPath(turn.prompt) : null;
  if (path === null) return null;
  return oneCall(turn, {
    tool: "read_file",
    argument: [path, ["path", "file"]],
    before: `I read the file ${path}.`,
    after: `This is in ${path}:`,
    read: readFileContent,
  });
}

interface OneCall {
  tool: string;
  argument: readonly [value: string, words: readonly [string, ...string[]]];
  before: string;
  after: string;
  read: (result: ToolResult) => ToolOutcome;
}

function oneCall(turn: Turn, { tool, argument, before, after, read }: OneCall): Line {
  const offered = offeredTool(turn, tool);
  if (offered === null) return say(`For this I would call the tool \`${tool}\`, but it is not offered to me.`);
  const result = resultsOf(turn, tool).at(-1);
  if (result === undefined) return callTool(before, offered, toolArguments(offered, [argument]));
  const outcome = read(result);
  if (outcome.failed) return say(`That did not work. The tool said:\n\n${quoteOutput(outcome.text)}`);
  return say(`${after}\n\n${quoteOutput(outcome.text)}`);
}

function commandOf(prompt: string): string | null {
  const ticked = /\b(?:run|execute)\b[^`]*`([^`]+)`/i.exec(prompt)?.[1];
  if (ticked !== undefined) return ticked.trim();
  const bare = /^(?:please )?(?:run|execute)(?: the)?(?: shell)?(?: command)?:?\s+([a-z][^\n]*)$/i.exec(prompt)?.[1];
  return bare?.replace(/[.!?]$/, "").trim() ?? null;
}
