/** One tool call that a script makes, in the order of its steps. */
export interface ScriptedCall {
  name: "calculator" | "create_file" | "make_folder" | "execute_command";
  arguments: Record<string, string>;
  /** The file of which each execution appends one line; null: the call leaves no trace. */
  trace: string | null;
}

/** What a run shall do, word by word, so that a checker knows what must be stored in the end. */
export interface RunScript {
  /** Unique in a chaos run. */
  tag: string;
  prompt: string;
  /** One per step, but for the last step, which answers. */
  calls: ScriptedCall[];
  answer: string;
}

export interface ScriptShape {
  /** Model calls of the run, the last of which answers. */
  steps: number;
  /** Words of the answer, and of the thoughts before each call. */
  words: number;
  /** Milliseconds between chunks. */
  delayMs: number;
}

/** Where traces lie in a workspace. */
export const tracesFolder = "effects";

const call = (tag: string, number: number): ScriptedCall => {
  const kind = number % 4;
  if (kind === 0) return { name: "calculator", arguments: { expression: `${number} + ${tag.length}` }, trace: null };
  if (kind === 1)
    return { name: "create_file", arguments: { path: `files/${tag}`, content: `of ${tag}` }, trace: null };
  const trace = `${tag}.${number}`;
  return {
    name: "execute_command",
    arguments: { command: `mkdir -p ${tracesFolder} && echo x >> ${tracesFolder}/${trace}` },
    trace,
  };
};

/** What the demo model counts out for `[[tokens=n]]`. */
const words = (count: number): string => Array.from({ length: count }, (_, index) => `w${index + 1}`).join(" ");

/** A run that streams in every step and calls tools of each class of effect: pure, idempotent, once. */
export const runScript = (tag: string, shape: ScriptShape): RunScript => {
  const calls = Array.from({ length: shape.steps - 1 }, (_, index) => call(tag, index));
  const directives = [
    `[[delay=${shape.delayMs}]]`,
    `[[reasoning=${shape.words}]]`,
    `[[tokens=${shape.words}]]`,
    ...calls.map(({ name, arguments: args }) => `[[tool=${name} ${JSON.stringify(args)}]]`),
  ];
  return { tag, prompt: `${tag} ${directives.join(" ")}`, calls, answer: words(shape.words) };
};
