import { SandboxError } from "@cortex/sandbox/port";
import { z } from "zod";
import { ToolFailure } from "../errors.ts";
import { defineTool } from "../tool.ts";

const asSentence = (error: unknown, port: number): unknown =>
  error instanceof SandboxError && error.reason === "connection_refused"
    ? new ToolFailure(
        `Nothing listens on port ${port} in the sandbox. Start the server in the background first, wait until it is up, then expose the port.`,
      )
    : error;

/** Idempotent: showing what is shown gives a link to the same thing. */
export const tool = defineTool({
  name: "expose_port",
  title: "Expose port",
  description:
    "Makes a port of the sandbox visible to people: answers with a link that they can open in their browser, good for about an hour; call it again for a new one. " +
    "Start the server in the background first (start_process). The server sees the link's host name in its requests; some development servers must be told to allow it.",
  icon: "share-2",
  effect: "idempotent",
  schema: z.strictObject({ port: z.int().min(1).max(65_535).describe("The port that the server listens on.") }),
  timeoutMs: 60_000,
  maxResultChars: 2_000,
  execute: async ({ port }, { exposePort, openSandbox, signal }) => {
    if (exposePort === undefined) throw new ToolFailure("There are no previews here: ports cannot be shown to people.");
    const sandbox = await openSandbox();
    if (!sandbox.capabilities.preview)
      throw new ToolFailure("This sandbox runs no servers, so it has no ports that could be shown.");
    const probe = await sandbox.connect({ port }, signal).catch((error: unknown) => {
      throw asSentence(error, port);
    });
    probe.destroy();
    const { url, expiresAt } = await exposePort({ sandbox, port });
    return `Port ${port} is shown at ${url}\nThe link is good until ${expiresAt.toISOString()}, as long as the server and the sandbox run. Whoever has it sees the page.`;
  },
});
