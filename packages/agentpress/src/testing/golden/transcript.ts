import type { AgentOutcome } from "../../agent.ts";
import type { AgentEvent } from "../../events.ts";
import { type AgentMessage, textOf } from "../../messages.ts";

const quoted = (text: string): string => JSON.stringify(text);

const line = (event: AgentEvent): string => {
  switch (event.type) {
    case "step.started":
      return `step ${event.step}`;
    case "message.delta":
      return `  writes ${quoted(event.text)}`;
    case "reasoning.delta":
      return `  thinks ${quoted(event.text)}`;
    case "message.discarded":
      return `  takes it back: ${event.reason}`;
    case "tool_call.delta":
      return `  writes a call of ${event.name}: ${quoted(event.arguments_delta)}`;
    case "model.completed":
      return [
        `  has answered (${event.finish_reason}, ${event.message.status}) ${quoted(event.message.text)}`,
        ...event.message.tool_calls.map(
          (call, index) =>
            `    calls ${call.name} ${JSON.stringify(call.arguments)}, claimed as ${event.claims[index]?.effect}`,
        ),
      ].join("\n");
    case "tool_call.started":
      return `  ${event.name} begins`;
    case "tool_call.output":
      return `  a tool shows ${quoted(event.chunk)}`;
    case "tool_call.completed":
      return `  ${event.name} ends (${event.is_error ? "error" : "ok"}, effect ${event.effect_state}) ${quoted(event.result)}`;
    case "step.completed":
      return `step ${event.step} is over`;
    default:
      return `  ${event.type}`;
  }
};

const messageLine = (message: AgentMessage): string => {
  const text = quoted(textOf(message.content));
  if (message.role !== "assistant") return `${message.role}: ${text}`;
  const made = message.tool_calls.map((call) => `, calls ${call.name} ${JSON.stringify(call.arguments)}`).join("");
  return `assistant${message.status === "complete" ? "" : ` (${message.status})`}: ${text}${made}`;
};

const ending = (outcome: AgentOutcome): string => {
  if (outcome.kind === "failed") return `failed: ${outcome.code}`;
  if (outcome.kind !== "aborted") return outcome.kind;
  const left = outcome.unfinished.map((call) => `${call.name} ${call.started ? "begun" : "not begun"}`);
  return `aborted, unfinished: ${left.join(", ") || "nothing"}`;
};

/** A run for people to read: every event, how it ended, and the conversation that is left. */
export const transcript = (
  events: readonly AgentEvent[],
  outcome: AgentOutcome,
  messages: readonly AgentMessage[],
): string => `${[...events.map(line), ending(outcome), "", ...messages.map(messageLine)].join("\n")}\n`;
