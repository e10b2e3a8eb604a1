import fc from "fast-check";
import { expect, test } from "vitest";
import { parseHint } from "./hint.ts";

/** As the append script makes it. */
const published = (epoch: number, firstSeq: number, closed: boolean, texts: readonly string[]) =>
  `{"epoch":${epoch},"first_seq":${firstSeq},"closed":${closed},"entries":[\n${texts.join(",\n")}\n]}`;

test("whatever text the entries hold, they come out as they went in", () => {
  const entry = fc.string({ unit: "binary" }).map((text) => JSON.stringify({ type: "message.delta", text }));
  fc.assert(
    fc.property(fc.array(entry, { minLength: 1, maxLength: 8 }), fc.nat(), fc.boolean(), (texts, firstSeq, closed) => {
      const message = published(3, firstSeq, closed, texts);
      expect(parseHint(message)).toEqual({
        epoch: 3,
        length: firstSeq + texts.length,
        closed,
        entries: { firstSeq, texts },
      });
      expect(JSON.parse(message)).toMatchObject({ epoch: 3, first_seq: firstSeq });
    }),
    { numRuns: 50 },
  );
});

test("a hint without entries says where the log stands; anything else is no hint", () => {
  expect(parseHint('{"epoch":2,"length":7,"closed":true}')).toEqual({
    epoch: 2,
    length: 7,
    closed: true,
    entries: null,
  });
  for (const text of [
    "",
    "7",
    "null",
    "{}",
    "[]",
    '{"epoch":1,"closed":false}',
    '{"epoch":"1","length":2,"closed":false}',
    "{[\n\n]}",
  ]) {
    expect(parseHint(text)).toBe(null);
  }
});

test("what a newer version adds to a hint is passed over, and one of another kind makes its reader look for itself", () => {
  expect(parseHint('{"epoch":2,"length":7,"closed":true,"shard":3}')).toMatchObject({ epoch: 2, length: 7 });
  const withEntries = '{"epoch":1,"shard":3,"first_seq":4,"closed":false,"entries":[\n{"type":"run.dreamt"}\n]}';
  expect(parseHint(withEntries)).toEqual({
    epoch: 1,
    length: 5,
    closed: false,
    entries: { firstSeq: 4, texts: ['{"type":"run.dreamt"}'] },
  });
  expect(parseHint('{"kind":"moved","to":"elsewhere"}')).toBe(null);
});
