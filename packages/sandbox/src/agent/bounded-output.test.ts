import fc from "fast-check";
import { expect, test } from "vitest";
import { BoundedOutput } from "./bounded-output.ts";
import { Channel } from "./frames.ts";

const collect = async (chunks: string[], maxBytes: number) => {
  const sent: Record<number, string> = {};
  const send = (channel: number, bytes: Uint8Array): Promise<void> => {
    sent[channel] = (sent[channel] ?? "") + Buffer.from(bytes).toString("latin1");
    return Promise.resolve();
  };
  const output = new BoundedOutput(send, maxBytes);
  for (const chunk of chunks) await output.write(Channel.stdout, Buffer.from(chunk, "latin1"));
  const dropped = await output.finish();
  return { head: sent[Channel.stdout] ?? "", tail: sent[Channel.stdoutTail] ?? "", dropped: dropped.stdout };
};

test("head, what is dropped and tail make up the whole, within the bound", async () => {
  const ascii = fc.string({ unit: fc.constantFrom("a", "b", "c", "d", "e", "f", "g"), maxLength: 200 });
  await fc.assert(
    fc.asyncProperty(
      fc.array(ascii, { maxLength: 20 }),
      fc.integer({ min: 0, max: 1_000 }),
      async (chunks, maxBytes) => {
        const whole = chunks.join("");
        const { head, tail, dropped } = await collect(chunks, maxBytes);
        expect(head.length + dropped + tail.length).toBe(whole.length);
        expect(whole.startsWith(head)).toBe(true);
        expect(whole.endsWith(tail)).toBe(true);
        expect(head.length + tail.length).toBeLessThanOrEqual(maxBytes);
        expect(dropped === 0 || head.length + tail.length >= maxBytes * 0.8).toBe(true);
      },
    ),
  );
});
