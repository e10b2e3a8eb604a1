import { type Line, say } from "../answer.ts";
import { readOutcome } from "../tool-result.ts";
import type { Turn } from "../turn.ts";
import { quoteOutput } from "./quoted-output.ts";

/**
 * What directives ask for word by word: calls in order (or all at once), a loop, a given text. Directives that only change how
 * an answer is sent (`[[delay=50]]`) leave the floor to the other scenes.
 */
export function directedScene(turn: Turn): Line | null {
  const { calls, parallel, loop, say: text, tokens } = turn.directives;
  const done = turn.answersWithCalls;
  if (calls.length > 0 && parallel && done === 0) return { text: "", calls };
  const next = calls[done];
  if (next !== undefined && !parallel) return { text: "", calls: [next] };
  if (loop !== null) {
    return { text: "", calls: [{ ...loop, arguments: loop.arguments.replaceAll("$n", String(done + 1)) }] };
  }
  if (text !== null) return say(text);
  if (tokens !== null) return say(""); // the words are counted out where the answer is planned
  return calls.length > 0 ? say(report(turn)) : null;
}

/** The last word after directed calls: what each tool gave back, so that a test can see which content reached the model. */
function report(turn: Turn): string {
  if (turn.results.length === 0) return "No result came back.";
  return turn.results
    .map((result) => `The tool \`${result.tool}\` came back with:\n\n${quoteOutput(readOutcome(result).text)}`)
    .join("\n\n");
}
