import { ask } from "../demo/ask.ts";
import { openDemoStack } from "../demo/open-demo-stack.ts";
import { createProgress } from "../terminal/progress.ts";
import { createRunView } from "../terminal/run-view.ts";
import { runCommand } from "./command.ts";

/*
 * `npm run demo -- "question"`: one run, drawn while it happens. Asks the stack that runs on the data folder, else starts one
 * and ends it. Exit code 0 when the run completed, 1 otherwise.
 */

const DEFAULT_QUESTION = "What is 5 + 10, then multiply by 3?";

await runCommand({ interruptedCode: 1 }, async ({ root, settings, environment, style, write, signal }) => {
  const question = process.argv.slice(2).join(" ").trim() || DEFAULT_QUESTION;
  const progress = createProgress(write, style);
  const stack = await openDemoStack({ root, settings, environment, progress, signal });
  try {
    write(`${style.bold(question)}\n`);
    const outcome = await ask({ stack: stack.file, question, view: createRunView(write, style), signal });
    return outcome === "run.completed" ? 0 : 1;
  } finally {
    await stack.close();
  }
});
