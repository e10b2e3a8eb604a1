import { type Line, say } from "../answer.ts";
import type { Turn } from "../turn.ts";

/** What the scenes answer to; also shown at `GET /`. */
export const EXAMPLES = [
  "What is 5 + 10, then multiply by 3?",
  'Write a file notes.txt with the text "hello" and show it',
  "Run `ls -la`",
  "List the files",
  "Summarise the uploaded file notes.txt",
  "Tell me something [[tokens=200]] [[delay=20]]",
] as const;

const INTRODUCTION =
  "I am the scripted demo model: no language model stands behind me. I play a few scenes through the real parts of the platform, " +
  "so that everything works without an account and without a network.";

/** The answer to everything that no other scene knows. It says what it is, and what can be tried. */
export function greetingScene({ prompt }: Turn): Line {
  const opening = /^\W*(?:hi|hello|hey|good (?:morning|day|evening)|greetings|salut|hallo)\b/i.test(prompt)
    ? "Hello!"
    : NO_SCENE;
  const examples = EXAMPLES.map((example) => `- ${example}`).join("\n");
  return say(
    `${opening} ${INTRODUCTION}\n\nYou can try:\n\n${examples}\n\nFor real answers, set the key of a real model.`,
  );
}

const NO_SCENE = "I have no scene for that.";
