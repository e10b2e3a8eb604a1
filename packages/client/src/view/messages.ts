import type { Message, RunEvent } from "@cortex/contracts";
import type { MessageView, RunView } from "./run-view.ts";
import { declareCalls, voidCalls } from "./tool-calls.ts";

type Of<Type extends RunEvent["type"]> = Extract<RunEvent, { type: Type }>;

export const appendText = (view: RunView, event: Of<"message.delta">): RunView =>
  preview(view, event.message_id, (message) => ({ ...message, text: message.text + event.text }));

export const appendReasoning = (view: RunView, event: Of<"reasoning.delta">): RunView =>
  preview(view, event.message_id, (message) => ({ ...message, reasoning: message.reasoning + event.text }));

/** The whole message takes the place of its preview. It says which calls are made, and in which order. */
export const completeMessage = (view: RunView, { message }: Of<"message.completed">): RunView => {
  const known = view.messages.find(({ id }) => id === message.id);
  const whole: MessageView = {
    id: message.id,
    role: message.role,
    status: message.status,
    text: textOf(message),
    reasoning: known?.reasoning ?? "",
    message,
  };
  const messages = known ? view.messages.map((each) => (each === known ? whole : each)) : [...view.messages, whole];
  return message.role === "assistant"
    ? declareCalls({ ...view, messages }, message.tool_calls ?? [])
    : { ...view, messages };
};

/** Its deltas are void, and so are the calls that were being written with it. */
export const discardMessage = (view: RunView, event: Of<"message.discarded">): RunView =>
  voidCalls({ ...view, messages: view.messages.filter(({ id }) => id !== event.message_id) });

/** Everything that is only a preview so far is void: an attempt ended without completing it. */
export const withoutPreviews = (view: RunView): RunView => {
  const stored = view.messages.filter(({ status }) => status !== "streaming");
  return voidCalls(stored.length === view.messages.length ? view : { ...view, messages: stored });
};

const preview = (view: RunView, id: string, change: (message: MessageView) => MessageView): RunView => {
  // From the end: it is nearly always the last one, and this runs for each token.
  const index = view.messages.findLastIndex((message) => message.id === id);
  const known = view.messages[index];
  if (known !== undefined && known.status !== "streaming") return view;
  const begun: MessageView = { id, role: "assistant", status: "streaming", text: "", reasoning: "", message: null };
  const messages = known === undefined ? [...view.messages, change(begun)] : view.messages.with(index, change(known));
  return { ...view, messages };
};

const textOf = (message: Message): string =>
  message.content.map((part) => (part.type === "text" ? part.text : "")).join("");
