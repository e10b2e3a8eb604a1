import type { ToolApproval, ToolEffect } from "@cortex/contracts";
import { z } from "zod";
import type { ToolDeclaration } from "./model.ts";
import { portableSchema } from "./portable-schema.ts";
import { storableText } from "./storable.ts";
import type { ToolAnswer, ToolContext, ToolOutcome } from "./tool-context.ts";
import { executeBounded } from "./tool-execution.ts";

export interface ToolDefinition<Schema extends z.ZodObject> {
  /** As the model calls it: `[a-z][a-z0-9_]*`, at most 64 characters. */
  name: string;
  /** For people. */
  title: string;
  /** For the model: what it does, when to use it, what it answers. */
  description: string;
  /** For people: a name of the Lucide icon set. Default `wrench`. */
  icon?: string;
  effect: ToolEffect;
  /** Unless agent or account say otherwise. Default `never`. */
  approval?: ToolApproval;
  /** Its results may have been written by a stranger, who may try to steer the model: from then on the conversation is tainted. Default false. */
  untrusted?: boolean;
  /** May it run beside other calls of the same answer? Default true. Otherwise it waits for earlier calls, and later ones for it. */
  parallel?: boolean;
  /**
   * Doing the same again makes sense, because what it looks at goes on by itself, or what it acts in is another place each time: then it is no circle
   * that ends the run. Default false.
   */
  polls?: boolean;
  /** A successful call ends the run as completed. */
  endsRun?: boolean;
  schema: Schema;
  /** Longest run time, milliseconds. */
  timeoutMs: number;
  /** Longest result for the model, characters; beyond it the middle is left out. */
  maxResultChars: number;
  /** @throws ToolFailure when nothing was done; anything else that is thrown leaves the effect unknown. */
  execute(args: z.output<Schema>, context: ToolContext): Promise<string | ToolAnswer>;
}

export interface Tool extends ToolDeclaration {
  readonly title: string;
  readonly icon: string;
  readonly effect: ToolEffect;
  readonly approval: ToolApproval;
  readonly untrusted: boolean;
  readonly parallel: boolean;
  readonly polls: boolean;
  readonly endsRun: boolean;
  /** What is wrong with these arguments, or null when the call may act. */
  check(args: unknown): string | null;
  /** Validates, runs within the time limit, and turns whatever happens into text for the model. */
  call(args: unknown, context: ToolContext): Promise<ToolOutcome>;
}

const namePattern = /^[a-z][a-z0-9_]{0,63}$/;

const wrongArguments = (problems: string): string =>
  storableText(`The arguments do not fit the tool's schema:\n${problems}`);

const problemsOf = (error: z.ZodError): string =>
  error.issues
    .slice(0, 20)
    .map((issue) => {
      const where = issue.path.map(String).join(".");
      return where === "" ? `- ${issue.message}` : `- ${where}: ${issue.message}`;
    })
    .join("\n");

/** What a tool of any kind has, however its arguments are described. */
type ToolFrame = Omit<ToolDefinition<z.ZodObject>, "schema" | "execute">;

/** Validation, time limit, truncation and the conversion of every failure into a result, for tools of every kind. */
const frameTool = <Args>(
  frame: ToolFrame,
  parameters: Record<string, unknown>,
  read: (args: unknown) => { ok: true; args: Args } | { ok: false; problem: string },
  execute: (args: Args, context: ToolContext) => Promise<string | ToolAnswer>,
): Tool => {
  const { name, title, description, icon = "wrench", effect, timeoutMs, maxResultChars } = frame;
  const { approval = "never", untrusted = false, parallel = true, polls = false, endsRun = false } = frame;
  if (!namePattern.test(name)) throw new TypeError(`"${name}" is no name for a tool`);
  return {
    name,
    title,
    description,
    icon,
    effect,
    approval,
    untrusted,
    parallel,
    polls,
    endsRun,
    parameters: portableSchema(parameters),
    check: (args) => {
      const given = read(args);
      return given.ok ? null : given.problem;
    },
    call: async (args, context) => {
      const given = read(args);
      if (!given.ok) {
        return {
          content: given.problem,
          isError: true,
          effectState: "none",
          interrupted: false,
          leftBehind: false,
          killed: [],
          fault: null,
        };
      }
      return executeBounded({ effect, timeoutMs, maxResultChars }, (bounded) => execute(given.args, bounded), context);
    },
  };
};

/**
 * Makes a tool from its definition. Validation, time limit, truncation and the conversion of every failure into a result happen here
 * and nowhere else, so that `execute` is only about what the tool does.
 * @throws TypeError for a definition that no model could use: that is a mistake in our source, found at boot
 */
export const defineTool = <Schema extends z.ZodObject>(definition: ToolDefinition<Schema>): Tool => {
  const { schema, execute, ...frame } = definition;
  const { $schema: _, ...parameters } = z.toJSONSchema(schema, { io: "input" });
  return frameTool(
    frame,
    parameters,
    (args) => {
      const parsed = schema.safeParse(args);
      return parsed.success
        ? { ok: true, args: parsed.data }
        : { ok: false, problem: wrongArguments(problemsOf(parsed.error)) };
    },
    execute,
  );
};

/** A tool that is described by a JSON Schema, because somebody else has made it. */
export interface ForeignToolDefinition extends ToolFrame {
  /** JSON Schema of the arguments, as the model gets it. */
  parameters: Record<string, unknown>;
  /** What is wrong with these arguments, one problem a line; null: nothing. Must not throw. */
  check: (args: Record<string, unknown>) => string | null;
  /** As `execute` of a tool of ours. */
  execute(args: Record<string, unknown>, context: ToolContext): Promise<string | ToolAnswer>;
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** The same for a tool of somebody else. @throws TypeError for a name that no model could use */
export const defineForeignTool = (definition: ForeignToolDefinition): Tool => {
  const { parameters, check, execute, ...frame } = definition;
  return frameTool(
    frame,
    parameters,
    (args) => {
      if (!isRecord(args)) return { ok: false, problem: wrongArguments("- they are no object") };
      const problem = check(args);
      return problem === null ? { ok: true, args } : { ok: false, problem: wrongArguments(problem) };
    },
    execute,
  );
};
