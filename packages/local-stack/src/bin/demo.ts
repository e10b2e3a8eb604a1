import { type Answer, ask } from "../demo/ask.ts";
import { somebodyAt } from "../demo/decide.ts";
import { openDemoStack } from "../demo/open-demo-stack.ts";
import { createProgress } from "../terminal/progress.ts";
import { createRunView } from "../terminal/run-view.ts";
import { runCommand } from "./command.ts";

/*
 * `npm run demo -- "question"`: one run, drawn while it happens. Asks the stack that runs on the data folder, else starts one
 * and ends it. Exit code 0 when the run completed and its tools worked, 1 otherwise.
 */

const DEFAULT_QUESTION = "What is 5 + 10, then multiply by 3?";
const DEFAULT_ANSWER = "45";

await runCommand({ interruptedCode: 1 }, async ({ root, settings, environment, style, write, signal }) => {
  if (process.argv.some((word) => word === "--help" || word === "-h")) {
    write('npm run demo -- "a question"    asks the agent one question and draws the run\n');
    return 0;
  }
  const question = process.argv.slice(2).join(" ").trim() || DEFAULT_QUESTION;
  const progress = createProgress(write, style);
  const stack = await openDemoStack({ root, settings, environment, progress, signal });
  try {
    const somebody = somebodyAt({ input: process.stdin, output: process.stdout });
    write(`${style.bold(question)}\n`);
    const answer = await ask({ stack: stack.file, question, view: createRunView(write, style), somebody, signal });
    const complaint = whatIsWrong(question, answer);
    if (complaint !== null) write(`${style.red(complaint)}\n`);
    return answer.end === "run.completed" && complaint === null ? 0 : 1;
  } finally {
    await stack.close();
  }
});

/** A demo that shows a failing tool, or a sum that is not one, has not shown that things work. */
function whatIsWrong(question: string, answer: Answer): string | null {
  if (answer.failedTools.length > 0) return `Not all went well: ${answer.failedTools.join(", ")} failed.`;
  const known = question === DEFAULT_QUESTION && answer.end === "run.completed";
  if (known && !answer.text.includes(DEFAULT_ANSWER)) return `The answer should have been ${DEFAULT_ANSWER}.`;
  return null;
}
