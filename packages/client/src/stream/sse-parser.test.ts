import fc from "fast-check";
import { expect, test } from "vitest";
import { createSseParser, type SseFrame } from "./sse-parser.ts";

/** What the parser makes of bytes that arrive in pieces which end at these places. */
const parse = (bytes: Uint8Array, ends: readonly number[] = []): SseFrame[] => {
  const decoder = new TextDecoder();
  const parser = createSseParser();
  const places = [0, ...ends.toSorted((left, right) => left - right), bytes.length];
  return places.flatMap((place, index) =>
    index === 0 ? [] : parser.push(decoder.decode(bytes.subarray(places[index - 1], place), { stream: true })),
  );
};

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);
const framesOf = (text: string): SseFrame[] => parse(bytesOf(text));

test.each<[string, string, Partial<SseFrame>[]]>([
  ["an event with an id", "id: 1.0\ndata: {}\n\n", [{ id: "1.0", event: "message", data: "{}" }]],
  ["CRLF", "id: 1.0\r\ndata: a\r\n\r\n", [{ id: "1.0", data: "a" }]],
  ["CR alone", "id: 1.0\rdata: a\r\r", [{ id: "1.0", data: "a" }]],
  ["line ends of all kinds in one frame", "data: a\rdata: b\r\ndata: c\n\r\n", [{ data: "a\nb\nc" }]],
  ["comments", ": hb\n\n:\ndata: a\n: x\n\n", [{ data: "a" }]],
  ["one blank behind the colon is no data, a second one is", "data:a\n\ndata:  a\n\n", [{ data: "a" }, { data: " a" }]],
  ["a field without a colon has an empty value", "data\n\ndata\ndata\n\n", [{ data: "" }, { data: "\n" }]],
  ["an empty data line is a frame", "data:\n\n", [{ data: "" }]],
  ["no data, no frame; its id is not that of the next", "id: 1.0\n\ndata: a\n\n", [{ id: null, data: "a" }]],
  [
    "the name of an event is that of its frame alone",
    "event: done\ndata: {}\n\ndata: a\n\n",
    [{ event: "done" }, { event: "message" }],
  ],
  ["an id with NUL is none", "id: 1\u00002\ndata: a\n\n", [{ id: null }]],
  ["unknown fields are passed over", "colour: red\ndata: a\n\n", [{ data: "a" }]],
  ["a colon inside the data is data", 'data: {"a":1}\n\n', [{ data: '{"a":1}' }]],
  ["what is left at the end is dropped", "data: a\n\ndata: b\n", [{ data: "a" }]],
  ["a byte order mark at the start is no text", "\uFEFFdata: a\n\n", [{ data: "a" }]],
])("%s", (_, text, frames) => {
  expect(framesOf(text)).toHaveLength(frames.length);
  expect(framesOf(text)).toMatchObject(frames);
});

test("`retry` is taken when it is a number, and the last one counts", () => {
  const parser = createSseParser();
  expect(parser.retryMs()).toBeNull();
  parser.push("retry: 1000\n\nretry: soon\nretry: -1\n\nretry: 25");
  expect(parser.retryMs()).toBe(1_000);
  parser.push("0\n\n");
  expect(parser.retryMs()).toBe(250);
});

/** Streams of hostile shape: every kind of line and line end, characters of one to four bytes, halves of pairs. */
const streams = fc
  .array(
    fc.tuple(
      fc.oneof(
        fc.constantFrom("", "", "", "data", "data:", "event: done", ": hb", "retry: 5", "id", "id: "),
        fc.string({ unit: "binary", maxLength: 12 }).map((text) => `data: ${text}`),
        fc.string({ unit: "grapheme", maxLength: 6 }).map((text) => text),
        fc.nat(99).map((seq) => `id: 1.${seq}`),
      ),
      fc.constantFrom("\n", "\r", "\r\n"),
    ),
    { maxLength: 30 },
  )
  .map((lines) => bytesOf(lines.flat().join("")));

/** The standard's own words, with the whole text at hand. */
const byTheBook = (bytes: Uint8Array): SseFrame[] => {
  const lines = new TextDecoder().decode(bytes).split(/\r\n|\r|\n/);
  const frames: SseFrame[] = [];
  let fields: [string, string][] = [];
  for (const line of lines.slice(0, -1)) {
    if (line !== "") {
      const [, name = "", value = ""] = /^([^:]*):? ?(.*)$/su.exec(line) ?? [];
      fields.push([name, line.includes(":") ? value : ""]);
      continue;
    }
    const last = (field: string) => fields.findLast(([name, value]) => name === field && !value.includes("\0"))?.[1];
    const data = fields.filter(([name]) => name === "data").map(([, value]) => value);
    if (data.length > 0)
      frames.push({ id: last("id") ?? null, event: last("event") || "message", data: data.join("\n") });
    fields = [];
  }
  return frames;
};

test("any stream, cut anywhere, gives what the standard says", () => {
  fc.assert(
    fc.property(streams, fc.array(fc.nat(400), { maxLength: 40 }), (bytes, cuts) => {
      const expected = byTheBook(bytes);
      expect(parse(bytes)).toEqual(expected);
      expect(
        parse(
          bytes,
          cuts.map((cut) => Math.min(cut, bytes.length)),
        ),
      ).toEqual(expected);
      expect(parse(bytes, [...bytes.keys()])).toEqual(expected);
    }),
    { numRuns: 500 },
  );
});

test("a long line in many pieces costs its length, not its square", () => {
  const parser = createSseParser();
  const piece = "x".repeat(16);
  const began = performance.now();
  parser.push("data: ");
  for (let count = 0; count < 200_000; count += 1) parser.push(piece);
  expect(parser.push("\n\n")[0]?.data).toHaveLength(3_200_000);
  // Some 50 ms; with the line copied for each piece it is minutes.
  expect(performance.now() - began).toBeLessThan(5_000);
});
