import { randomBytes } from "node:crypto";
import type { Answer, Line, PlannedCall } from "./answer.ts";
import { numberedWords, pieces } from "./chunks.ts";
import { calculatorScene } from "./scenes/calculator.ts";
import { directedScene } from "./scenes/directed.ts";
import { greetingScene } from "./scenes/greeting.ts";
import { listFilesScene, readFileScene, runCommandScene } from "./scenes/sandbox.ts";
import { summariseScene } from "./scenes/summarise.ts";
import { writeFileScene } from "./scenes/write-file.ts";
import type { Turn } from "./turn.ts";

/** The first scene that knows the prompt plays. A sum comes late, because "write a file with 2 + 2" is about a file. */
const SCENES: readonly ((turn: Turn) => Line | null)[] = [
  directedScene,
  writeFileScene,
  summariseScene,
  runCommandScene,
  listFilesScene,
  readFileScene,
  calculatorScene,
];

/** Decides what the model says next. The same conversation always gets the same words; only the ids of calls differ. */
export function planAnswer(turn: Turn): Answer {
  const { directives } = turn;
  const reasoning = numberedWords(directives.reasoning, null);
  const line = playLine(turn);
  const calls = identify(line.calls, directives.sameId);
  const finish = directives.finish ?? (calls.length > 0 ? "tool_calls" : "stop");
  const numbered = directives.tokens !== null && calls.length === 0 && directives.say === null;
  const text = numbered ? numberedWords(directives.tokens ?? 0, directives.chunk) : pieces(line.text, directives.chunk);
  return { reasoning, text: turn.said === null ? text : behind(turn.said, text), calls, finish };
}

/** What is left of an answer of which this much was said. */
function* behind(said: string, text: Iterable<string>): Generator<string> {
  let skip = said.length;
  for (const chunk of text) {
    if (chunk.length > skip) yield chunk.slice(skip);
    skip = Math.max(0, skip - chunk.length);
  }
}

function playLine(turn: Turn): Line {
  for (const scene of SCENES) {
    const line = scene(turn);
    if (line !== null) return line;
  }
  return greetingScene(turn);
}

function identify(calls: Line["calls"], sameId: boolean): PlannedCall[] {
  const shared = newCallId();
  return calls.map((call) => ({ ...call, id: sameId ? shared : newCallId() }));
}

function newCallId(): string {
  return `call_${randomBytes(12).toString("hex")}`;
}
