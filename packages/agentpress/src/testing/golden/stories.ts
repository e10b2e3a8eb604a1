import { ModelError } from "../../errors.ts";
import type { ModelEvent } from "../../model.ts";
import { tool as ask } from "../../tools/ask.ts";
import { tool as calculator } from "../../tools/calculator.ts";
import { defineTool, type Tool } from "../../tool.ts";
import { calls, says, type Turn } from "../scripted-model.ts";
import { z } from "zod";

/** One conversation, recorded in `<name>.txt` beside this file. */
export interface Story {
  name: string;
  prompt: string;
  /** What the model does in each step; more than one turn where it is asked again. */
  steps: readonly (readonly Turn[])[];
  /** A message of the user that comes while this step goes on. */
  posted?: { step: number; text: string };
  /** The run is stopped at the first event of this type. */
  stopAt?: string;
  /** Calls are written in the text. */
  xml?: boolean;
  maxRepeatedCalls?: number;
}

const send = defineTool({
  name: "send",
  title: "Send",
  description: "Sends a letter.",
  effect: "once",
  parallel: false,
  schema: z.strictObject({ to: z.string(), copies: z.int().optional() }),
  timeoutMs: 1_000,
  maxResultChars: 500,
  execute: async ({ to, copies = 1 }) => `Sent ${copies} to ${to}.`,
});

export const tools: readonly Tool[] = [ask, calculator, send];

const calculate = (id: string, expression: string) => ({ name: "calculator", args: { expression }, id });

const cut = (events: readonly ModelEvent[]): ModelEvent[] =>
  events.map((event) => (event.type === "finish" ? { type: "finish", reason: "length" } : event));

const breaks = function* (): Generator<ModelEvent> {
  yield { type: "text", text: "The ans" };
  throw new ModelError("model_stream_broken", { phase: "answer" });
};

/** The mark of calls in text, in these stories. */
export const mark = "k7q2";

const inText = (name: string, args: Record<string, string>): string =>
  [
    `<call-${mark} name="${name}">`,
    ...Object.entries(args).map(([key, value]) => `<arg-${mark} name="${key}">${value}</arg-${mark}>`),
    `</call-${mark}>`,
  ].join("\n");

export const stories: readonly Story[] = [
  {
    name: "tools-one-after-the-other",
    prompt: "What is 5 + 10, then multiply by 3?",
    steps: [[calls(calculate("1", "5 + 10"))], [calls(calculate("2", "15 * 3"))], [says("It is 45.")]],
  },
  {
    name: "tools-side-by-side-and-in-order",
    prompt: "Calculate and send.",
    steps: [
      [
        calls(
          calculate("1", "1 + 1"),
          calculate("2", "2 + 2"),
          { name: "send", args: { to: "Ada" }, id: "3" },
          calculate("4", "3 + 3"),
        ),
      ],
      [says("Done.")],
    ],
  },
  {
    name: "calls-that-cannot-run",
    prompt: "Try.",
    steps: [
      [
        calls(
          { name: "no_such_tool", args: {}, id: "1" },
          { name: "send", args: { to: 5 }, id: "2" },
          { name: "send", args: '{"to":"A', id: "3" },
        ),
      ],
      [
        calls(
          { name: "calculator", args: '```json\n{"expression":"1 / 0",}\n```', id: "4" },
          { name: "send", args: { to: "Ada", copies: "2" }, id: "5" },
        ),
      ],
      [says("I gave up.")],
    ],
  },
  {
    name: "an-answer-in-three-parts",
    prompt: "Tell me a long story.",
    steps: [[cut(says("Once upon "))], [cut(says("a time there "))], [says("was an end.")]],
  },
  {
    name: "an-answer-that-was-cut-and-the-user-goes-on",
    prompt: "Tell me a long story.",
    posted: { step: 0, text: "Make it short." },
    steps: [[cut(says("Once upon "))], [says("The end.")]],
  },
  {
    name: "an-answer-that-breaks",
    prompt: "What is it?",
    steps: [[breaks, says("The answer.")]],
  },
  {
    name: "calls-in-the-text",
    prompt: "Calculate.",
    xml: true,
    steps: [
      [
        says(
          `I calculate.\n\n${inText("calculator", { expression: "5 + 10" })}\n${inText("send", { to: "Ada", copies: "2" })}`,
        ),
      ],
      [
        says(
          `Once more. ${inText("send", { to: "Bob" })}\n<result-${mark} name="send">Sent.</result-${mark}> It is sent.`,
        ),
      ],
      [says("15, and sent.")],
    ],
  },
  {
    name: "a-question-to-the-user",
    prompt: "Book a flight.",
    steps: [
      [
        [
          ...says("I need to know more.").slice(0, -2),
          ...calls({ name: "ask", args: { question: "Where to?" }, id: "1" }),
        ],
      ],
    ],
  },
  {
    name: "a-message-while-it-answers",
    prompt: "Hello",
    posted: { step: 0, text: "And goodbye?" },
    steps: [[says("Hello!")], [says("Goodbye!")]],
  },
  {
    name: "a-call-that-is-cut",
    prompt: "Send a letter.",
    steps: [[cut(calls({ name: "send", args: { to: "Ada" }, id: "1" }))], [says("It is too long.")]],
  },
  {
    name: "a-circle-of-letters",
    prompt: "Send it.",
    maxRepeatedCalls: 2,
    steps: ["1", "2"].map((id) => [calls({ name: "send", args: { to: "Ada" }, id })]),
  },
  {
    name: "a-circle",
    prompt: "Go on.",
    maxRepeatedCalls: 2,
    steps: [1, 3, 5, 7].map((n) => [calls(calculate(String(n), n % 4 === 1 ? "1 + 1" : "2 + 2"))]),
  },
  {
    name: "a-stop-behind-two-calls",
    prompt: "Send two.",
    stopAt: "tool_call.completed",
    steps: [
      [calls({ name: "send", args: { to: "Ada" }, id: "1" }, { name: "send", args: { to: "Bob" }, id: "2" })],
      [says("Sent.")],
    ],
  },
];
