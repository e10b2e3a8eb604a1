import type { RunEvent } from "@cortex/contracts";
import { duration, harmless, type Style } from "./style.ts";

type Terminal = Extract<RunEvent, { type: "run.completed" | "run.failed" | "run.stopped" }>;
type Of<Type extends RunEvent["type"]> = Extract<RunEvent, { type: Type }>;

export type RunView = {
  show: (event: RunEvent) => void;
  /** A word of ours on a line of its own. */
  note: (text: string) => void;
};

/** A tool's result beyond this is cut: a file of a thousand lines would push the run off the screen. */
const MAX_RESULT_CHARACTERS = 1_200;
const MAX_RESULT_LINES = 20;

/** What the view has drawn so far. */
type Drawn = {
  /** the message whose text the cursor stands behind, if any */
  openMessage: string | null;
  /** text drawn per message from its deltas */
  text: Map<string, string>;
  /** output drawn per tool call */
  output: Map<string, string>;
  startedAt: number | null;
  firstTextAt: number | null;
  steps: number;
  toolCalls: number;
  /** the run waits, so whoever takes it up next takes it over from nobody */
  waits: boolean;
};

const nothingDrawn = (): Drawn => ({
  openMessage: null,
  text: new Map(),
  output: new Map(),
  startedAt: null,
  firstTextAt: null,
  steps: 0,
  toolCalls: 0,
  waits: false,
});

/**
 * Draws the events of one run as they come, as text that only grows (so it is as good in a log file as on a terminal).
 * Times are the events' own. `write` gets pieces of lines.
 */
export function createRunView(write: (text: string) => void, style: Style): RunView {
  let drawn = nothingDrawn();

  const endLine = (): void => {
    if (drawn.openMessage !== null) write("\n");
    drawn.openMessage = null;
  };
  const line = (text: string): void => {
    endLine();
    write(`${text}\n`);
  };
  const append = (messageId: string, at: string, text: string): void => {
    if (drawn.openMessage !== messageId) {
      endLine();
      drawn.openMessage = messageId;
    }
    drawn.firstTextAt ??= Date.parse(at);
    drawn.text.set(messageId, (drawn.text.get(messageId) ?? "") + text);
    write(harmless(text));
  };

  const complete = ({ message, at }: Of<"message.completed">): void => {
    if (message.role === "tool") return; // its tool_call.completed said it
    const whole = message.content.map((part) => (part.type === "text" ? part.text : `[${part.type}]`)).join("");
    if (message.role === "user") return line(style.dim(`  you: ${oneLine(whole)}`));
    const known = drawn.text.get(message.id) ?? "";
    if (whole.startsWith(known)) {
      if (whole !== known) append(message.id, at, whole.slice(known.length));
    } else {
      line(style.dim("  (the text above is void, this is the message)"));
      append(message.id, at, whole);
    }
    if (message.status === "interrupted") write(style.dim(" (interrupted)"));
    endLine();
  };

  const toolStarted = ({ name, arguments: given }: Of<"tool_call.started">): void => {
    drawn.toolCalls += 1;
    line(
      `  ${style.bold(`> ${harmless(name)}`)} ${oneLine(typeof given === "string" ? given : JSON.stringify(given))}`,
    );
  };

  const toolCompleted = ({
    tool_call_id,
    result,
    is_error,
    effect_state,
    duration_ms,
  }: Of<"tool_call.completed">): void => {
    const told = drawn.output.get(tool_call_id)?.trim() ?? "";
    const news = told !== "" && result.includes(told) ? "done" : excerpt(result);
    const state = effect_state === "unknown" ? " (whether it took effect is unknown)" : "";
    const head = is_error ? style.red("x ") : style.green("= ");
    line(`    ${head}${indent(news)}${state} ${style.dim(`(${duration(duration_ms)})`)}`);
  };

  const waiting = ({ reason, at, resume_at, approvals }: Of<"run.waiting">): void => {
    drawn.waits = true;
    if (approvals) {
      line(style.dim("  waiting: somebody has to decide about"));
      // Whole, and nothing of it may look like the terminal's own words.
      for (const { name, arguments: given } of approvals)
        line(`  ${style.bold(`? ${harmless(name)}`)} ${harmless(JSON.stringify(given))}`);
      return;
    }
    const time = resume_at === undefined ? "" : `, for ${duration(Date.parse(resume_at) - Date.parse(at))}`;
    const why = reason === "provider_limit" ? "the model's provider lets nobody through" : oneLine(reason);
    line(style.dim(`  waiting: ${why}${time}`));
  };

  const finish = (event: Terminal): void => {
    const at = Date.parse(event.at);
    const { usage, cost_usd } = event;
    const outcome = event.type.slice("run.".length);
    const facts = [
      drawn.startedAt === null ? outcome : `${outcome} in ${duration(at - drawn.startedAt)}`,
      ...(drawn.startedAt === null || drawn.firstTextAt === null
        ? []
        : [`first text after ${duration(drawn.firstTextAt - drawn.startedAt)}`]),
      `${count(drawn.steps, "step")}, ${count(drawn.toolCalls, "tool call")}`,
      `${usage.input_tokens} tokens in, ${usage.output_tokens} out${usage.estimated ? " (estimated)" : ""}`,
      `$${cost_usd}`,
    ];
    if (event.type === "run.failed") line(style.red(`  ${event.error.code}: ${harmless(event.error.message)}`));
    line(style.dim(`  ${facts.join(" · ")}`));
  };

  const show = (event: RunEvent): void => {
    drawn.startedAt ??= Date.parse(event.at);
    switch (event.type) {
      case "run.queued":
        return event.position === undefined || event.position === 0
          ? undefined
          : line(style.dim(`  ${event.position} ahead in the queue`));
      case "run.started":
        return line(style.dim(`  model ${harmless(event.model)}`));
      case "attempt.started":
        return drawn.waits ? undefined : line(style.dim(`  (a worker took the run over, attempt ${event.attempt})`));
      case "step.completed":
        drawn.steps += 1;
        return;
      case "message.delta":
        return append(event.message_id, event.at, event.text);
      case "message.completed":
        return complete(event);
      case "message.discarded":
        return line(style.dim(`  (the text above is void: ${oneLine(event.reason)})`));
      case "tool_call.started":
        return toolStarted(event);
      case "tool_call.output":
        drawn.output.set(event.tool_call_id, (drawn.output.get(event.tool_call_id) ?? "") + event.chunk);
        return line(style.dim(`    | ${indent(excerpt(event.chunk))}`));
      case "tool_call.completed":
        return toolCompleted(event);
      case "run.waiting":
        return waiting(event);
      case "run.resumed":
        drawn.waits = false;
        return line(style.dim("  goes on"));
      case "context.compacted":
        return line(style.dim("  (a long conversation: the model goes on with a summary of its older part)"));
      case "log.truncated":
        return line(style.dim("  (a very long run: from here on only whole messages)"));
      case "resync":
        line(style.dim("  (the live log was lost and rebuilt; from the beginning:)"));
        drawn = nothingDrawn();
        return;
      case "step.started":
      case "reasoning.delta":
      case "tool_call.delta":
        return;
      case "run.completed":
      case "run.failed":
      case "run.stopped":
        return finish(event);
    }
  };
  return { show, note: (text) => line(style.dim(`  ${harmless(text)}`)) };
}

function oneLine(text: string): string {
  const flat = harmless(text).replace(/\s+/g, " ").trim();
  return flat.length > 300 ? `${flat.slice(0, 300)}…` : flat;
}

function excerpt(text: string): string {
  const lines = harmless(text).trimEnd().split("\n");
  const cut = lines.slice(0, MAX_RESULT_LINES).join("\n").slice(0, MAX_RESULT_CHARACTERS);
  const left = harmless(text).trimEnd().length - cut.length;
  return left > 0 ? `${cut}\n… ${left} more characters` : cut;
}

function indent(text: string): string {
  return text.replaceAll("\n", "\n      ");
}

function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? "" : "s"}`;
}
