import { ApiError, type Client, ConnectionError, createClient, UnexpectedAnswerError } from "@cortex/client";
import type { Message, TerminalEventType } from "@cortex/contracts";
import { signIn } from "../stack/demo-user.ts";
import { StackError } from "../stack-error.ts";
import type { StackFile } from "../stack/stack-file.ts";
import { type AskSomebody, decideAtTerminal, type OpenQuestion, openQuestion } from "./decide.ts";
import type { RunView } from "../terminal/run-view.ts";

/** Breaks of the stream in a row; the waits between them grow to seconds, so this is a quarter of a minute and more. */
const MAX_BREAKS = 8;
/** Ctrl-C promises 5 s for everything. */
const STOP_TIMEOUT_MS = 1_000;

/** How a question ended. */
export type Answer = {
  end: TerminalEventType;
  /** the agent's last words */
  text: string;
  /** names of the tools whose calls ended in an error */
  failedTools: string[];
};

/**
 * Asks the stack's agent a question as the demo user, in a new thread, and draws the run while it happens. An abort asks the
 * stack to stop the run, and then throws the signal's reason. Errors: `start_failed` (nobody can sign in), `not_ready`.
 */
export async function ask(input: {
  stack: StackFile;
  question: string;
  view: RunView;
  /** Whom tool calls are shown to that need a person; null: nobody is there. */
  somebody: AskSomebody | null;
  signal: AbortSignal;
}): Promise<Answer> {
  const { stack, question, view, somebody, signal } = input;
  if (stack.demo_user === null || stack.supabase_anon_key === null) {
    throw new StackError(
      "not_ready",
      "This stack uses a Supabase project of yours and has no demo user: set SUPABASE_SECRET_KEY and SUPABASE_PUBLISHABLE_KEY when you start it.",
    );
  }
  const token = await signIn({
    supabaseUrl: stack.supabase_url,
    publishableKey: stack.supabase_anon_key,
    user: stack.demo_user,
  });
  const client = createClient({ baseUrl: stack.api_url, token: async () => token });
  try {
    return await askAs(client, { question, view, somebody, signal });
  } catch (error) {
    const known =
      error instanceof ApiError || error instanceof ConnectionError || error instanceof UnexpectedAnswerError;
    if (!known || signal.aborted) throw error;
    const sentence = `The API at ${stack.api_url} could not do it (${error.message}): see logs/api.log in the data folder.`;
    throw new StackError("not_ready", sentence, { cause: error });
  }
}

type Question = { question: string; view: RunView; somebody: AskSomebody | null; signal: AbortSignal };

async function askAs(client: Client, { question, view, somebody, signal }: Question): Promise<Answer> {
  const thread = await client.createThread({ title: question.slice(0, 100) }, { signal });
  const run = await client.startRun(thread.id, { prompt: question }, { signal });
  const answer = { text: "", failedTools: [] as string[] };
  const runId = run.agent_run_id;
  const undecidable = new AbortController();
  let asked: OpenQuestion | null = null;
  try {
    const follow = { signal: AbortSignal.any([signal, undecidable.signal]), maxFailures: MAX_BREAKS };
    for await (const event of client.followRun(runId, follow)) {
      // Whatever comes now, the run waits no more, or asks again: somebody else has decided, or stopped it.
      await asked?.withdraw();
      view.show(event);
      if (event.type === "run.waiting" && event.approvals) {
        const decide = async (withdrawn: AbortSignal): Promise<void> => {
          // Said again after a lost log: then some of it, or all, is decided.
          const { approvals } = await client.getRun(runId, { signal });
          await decideAtTerminal(client, { runId, approvals, ask: somebody, view, withdrawn, signal });
        };
        asked = openQuestion(decide, (error) => undecidable.abort(error));
      }
      if (event.type === "run.completed" || event.type === "run.failed" || event.type === "run.stopped")
        return { end: event.type, ...answer };
      if (event.type === "tool_call.completed" && event.is_error) answer.failedTools.push(event.name);
      if (event.type === "message.completed" && event.message.role === "assistant") answer.text = textOf(event.message);
    }
  } catch (error) {
    if (signal.aborted) view.note(await stopQuietly(client, runId));
    throw error;
  } finally {
    await asked?.withdraw();
  }
  throw new StackError("not_ready", "The stream of the run ended without its last event: see the API's log.");
}

function textOf(message: Message): string {
  return message.content.map((part) => (part.type === "text" ? part.text : "")).join("");
}

/** Nobody watches any more: the run should not go on for nothing. Says what became of it; the stack may be going down already. */
async function stopQuietly(client: Client, runId: string): Promise<string> {
  try {
    await client.stopRun(runId, { signal: AbortSignal.timeout(STOP_TIMEOUT_MS) });
    return "stopped";
  } catch {
    return "could not be stopped: the run goes on while the stack is up";
  }
}
