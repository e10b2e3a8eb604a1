import type { ToolApproval, ToolEffect } from "@cortex/contracts";
import { z } from "zod";
import type { ToolDeclaration } from "./model.ts";
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
  readonly endsRun: boolean;
  /** What is wrong with these arguments, or null when the call may act. */
  check(args: unknown): string | null;
  /** Validates, runs within the time limit, and turns whatever happens into text for the model. */
  call(args: unknown, context: ToolContext): Promise<ToolOutcome>;
}

const namePattern = /^[a-z][a-z0-9_]{0,63}$/;

const wrongArguments = (error: z.ZodError): string => {
  const problems = error.issues.slice(0, 20).map((issue) => {
    const where = issue.path.map(String).join(".");
    return where === "" ? `- ${issue.message}` : `- ${where}: ${issue.message}`;
  });
  return storableText(`The arguments do not fit the tool's schema:\n${problems.join("\n")}`);
};

/**
 * Makes a tool from its definition. Validation, time limit, truncation and the conversion of every failure into a result happen here
 * and nowhere else, so that `execute` is only about what the tool does.
 * @throws TypeError for a definition that no model could use: that is a mistake in our source, found at boot
 */
export const defineTool = <Schema extends z.ZodObject>(definition: ToolDefinition<Schema>): Tool => {
  if (!namePattern.test(definition.name)) throw new TypeError(`"${definition.name}" is no name for a tool`);
  const { $schema: _, ...parameters } = z.toJSONSchema(definition.schema, { io: "input" });
  const { name, title, description, icon = "wrench", effect, schema } = definition;
  const { approval = "never", untrusted = false, parallel = true, endsRun = false } = definition;

  return {
    name,
    title,
    description,
    icon,
    effect,
    approval,
    untrusted,
    parallel,
    endsRun,
    parameters,
    check: (args) => {
      const parsed = schema.safeParse(args);
      return parsed.success ? null : wrongArguments(parsed.error);
    },
    call: async (args, context) => {
      const parsed = schema.safeParse(args);
      if (!parsed.success) {
        return {
          content: wrongArguments(parsed.error),
          isError: true,
          effectState: "none",
          interrupted: false,
          leftBehind: false,
          killed: [],
          fault: null,
        };
      }
      return executeBounded(
        { effect, timeoutMs: definition.timeoutMs, maxResultChars: definition.maxResultChars },
        (bounded) => definition.execute(parsed.data, bounded),
        context,
      );
    },
  };
};
