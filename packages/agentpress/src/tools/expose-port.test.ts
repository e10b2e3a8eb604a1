import { SandboxError } from "@cortex/sandbox/port";
import { PassThrough } from "node:stream";
import { expect, test } from "vitest";
import type { ToolContext } from "../tool-context.ts";
import { tool } from "./expose-port.ts";

/** As much of a computer as this tool looks at: something listens on 3000. */
const sandbox = (preview: boolean) =>
  ({
    id: "sandbox",
    capabilities: { preview },
    takeNotices: () => [],
    connect: async ({ port }: { port: number }) => {
      if (port === 3000) return new PassThrough();
      throw new SandboxError("connection_refused", "Nothing listens there.");
    },
  }) as unknown as Awaited<ReturnType<ToolContext["openSandbox"]>>;

const expose = async (port: number, given: Partial<ToolContext> = {}, preview = true) => {
  const asked: number[] = [];
  const outcome = await tool.call(
    { port },
    {
      signal: new AbortController().signal,
      runId: "run",
      toolCallId: "call",
      idempotencyKey: "run:call",
      output: async () => undefined,
      openSandbox: async () => sandbox(preview),
      exposePort: async (input) => {
        asked.push(input.port);
        return { url: "https://label.preview.example.com", expiresAt: new Date("2026-11-21T12:00:00.000Z") };
      },
      now: () => new Date(),
      ...given,
    },
  );
  return { ...outcome, asked };
};

test("the model gets the link and its end; what cannot be shown is said, and not shown", async () => {
  const shown = await expose(3000);
  expect(shown).toMatchObject({ isError: false, asked: [3000] });
  expect(shown.content).toContain("https://label.preview.example.com");
  expect(shown.content).toContain("2026-11-21T12:00:00.000Z");
  const refused: [Awaited<ReturnType<typeof expose>>, string][] = [
    [await expose(3001), "Nothing listens on port 3001"],
    [await expose(3000, {}, false), "runs no servers"],
    [await expose(3000, { exposePort: undefined }), "no previews here"],
    [await expose(65_536), "port"],
    [await expose(0), "port"],
  ];
  for (const [outcome, words] of refused)
    expect(outcome).toMatchObject({ isError: true, asked: [], content: expect.stringContaining(words) as string });
});
