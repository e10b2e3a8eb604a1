import { expect, test } from "vitest";
import { framePieces } from "./frame-text.ts";

const entry = (text: string): string => JSON.stringify({ type: "message.completed", text });
const wholeText = (first: number, entries: readonly string[]): string =>
  entries.map((each, index) => `id: 2.${first + index}\ndata: ${each}\n\n`).join("");

test("a frame of small entries is one piece, with what goes before it", () => {
  const entries = [entry("a"), entry("b")];
  const pieces = [...framePieces({ epoch: 2, first_seq: 7, entries }, "retry: 1000\n\n")];
  expect(pieces).toEqual([`retry: 1000\n\n${wholeText(7, entries)}`]);
});

test.each([0, 1, 2, 3])(
  "a long entry goes out in bounded pieces that are whole characters (shifted by %i)",
  (shift) => {
    const entries = [entry("x".repeat(shift)), entry("\u{1F600}".repeat(150_000)), entry("after")];
    const pieces = [...framePieces({ epoch: 2, first_seq: 0, entries })];
    expect(pieces.length).toBeGreaterThan(3);
    expect(Math.max(...pieces.map((piece) => piece.length))).toBeLessThanOrEqual(96 * 1024);
    // As it arrives: each piece is encoded by itself.
    expect(Buffer.concat(pieces.map((piece) => Buffer.from(piece))).toString()).toBe(wholeText(0, entries));
  },
);
