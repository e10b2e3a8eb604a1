import { randomUUID } from "node:crypto";
import { createTestSandboxes } from "@cortex/testing";
import { expect, test } from "vitest";
import { maxPictureBytes } from "../context/pictures.ts";
import type { StoredText, ToolContext } from "../tool-context.ts";
import { tool as expandMessage } from "./expand-message.ts";
import { tool as viewImage } from "./view-image.ts";

const context = (given: Partial<ToolContext> = {}): ToolContext => ({
  signal: new AbortController().signal,
  runId: "run",
  toolCallId: "call",
  idempotencyKey: "run:call",
  output: async () => undefined,
  openSandbox: () => Promise.reject(new Error("no sandbox")),
  now: () => new Date(),
  ...given,
});

const stored: Record<string, StoredText> = {
  long: { role: "tool", text: "é".repeat(30_000) },
  pairs: { role: "tool", text: "😀".repeat(15_000) },
  empty: { role: "tool", text: "" },
};
const readMessage = async (id: string): Promise<StoredText | null> => stored[id] ?? null;
const expand = (args: unknown, given: Partial<ToolContext> = { readMessage }) =>
  expandMessage.call(args, context(given));

test("a message comes back in parts that are all of it", async () => {
  const first = await expand({ id: "long" });
  expect(first.content).toBe(`${"é".repeat(20_000)}\n[Characters 0 to 20000 of 30000. Go on with start 20000.]`);
  expect((await expand({ id: "long", start: 20_000 })).content).toBe("é".repeat(10_000));
  expect((await expand({ id: "long", start: 29_998, length: 1 })).content).toMatch(/^é\n\[Characters 29998 to 29999/);
  expect((await expand({ id: "empty" })).content).toBe("It is empty.");
});

test("no part begins or ends inside a character", async () => {
  for (const [start, length] of [
    [1, 3],
    [2, 5],
    [19_999, 1],
  ] as const) {
    const { content } = await expand({ id: "pairs", start, length });
    expect(content.isWellFormed()).toBe(true);
  }
});

test("what is not there, too far, or not to be had at all is said", async () => {
  expect(await expand({ id: "none" })).toMatchObject({
    isError: true,
    content: 'This conversation has no call and no message with the id "none".',
  });
  expect(await expand({ id: "long", start: 30_000 })).toMatchObject({
    isError: true,
    content: "It has 30000 characters only.",
  });
  expect(await expand({ id: "long", length: 20_001 })).toMatchObject({ isError: true });
  expect(await expand({ id: "long" }, {})).toMatchObject({ isError: true });
});

test("a picture of the workspace is shown by what it is, not by its name; anything else is refused in words", async () => {
  const provider = await createTestSandboxes();
  const ref = await provider.create({ id: randomUUID(), labels: {} });
  const sandbox = provider.open(ref);
  try {
    const png = Buffer.concat([Buffer.from("89504e470d0a1a0a", "hex"), Buffer.alloc(64, 1)]);
    await sandbox.files.write("chart.txt", png);
    await sandbox.files.write("photo.png", Buffer.from("GIF89a and more"));
    await sandbox.files.write("wave.webp", Buffer.from("RIFF1234WAVE"));
    await sandbox.files.write("huge.png", Buffer.concat([png, Buffer.alloc(maxPictureBytes)]));
    await sandbox.files.write("empty.png", "");
    const view = (path: string) => viewImage.call({ path }, context({ openSandbox: async () => sandbox }));

    const shown = await view("chart.txt");
    expect(shown).toMatchObject({ isError: false, effectState: "none" });
    expect(shown.content).toBe("The picture /workspace/chart.txt (image/png, 72 bytes) stands behind the results.");
    expect(shown.images).toEqual([{ mediaType: "image/png", data: png.toString("base64") }]);
    expect((await view("photo.png")).images?.[0]?.mediaType).toBe("image/gif");
    for (const path of ["wave.webp", "empty.png"]) {
      const refused = await view(path);
      expect(refused).toMatchObject({
        isError: true,
        content: `/workspace/${path} is no PNG, JPEG, GIF or WebP picture.`,
      });
      expect(refused.images).toBeUndefined();
    }
    expect((await view("huge.png")).content).toContain("Make it smaller first");
    expect((await view("missing.png")).content).toBe("There is no file /workspace/missing.png.");
    expect(await view("../../etc/passwd")).toMatchObject({ isError: true });
    expect(await view(".")).toMatchObject({ isError: true });
  } finally {
    await provider.delete(ref);
    await provider.close();
  }
});
