import fc from "fast-check";
import { expect, test } from "vitest";
import { repairJson } from "./repair-json.ts";
import { canonical, parseArguments, parseJson } from "./tool-arguments.ts";

const seed = 20261121;

test.each([
  ["raw line breaks", '{"a":"x\ny\tz"}', '{"a":"x\\ny\\tz"}'],
  ["a comma too many", '{"a":[1,2, ],\n}', '{"a":[1,2 ]\n}'],
  ["a comma in a string", '{"a":",}"}', '{"a":",}"}'],
  ["an escaped apostrophe", '{"a":"it\\\'s"}', '{"a":"it\'s"}'],
  ["an escaped backslash before one", '{"a":"\\\\\'"}', '{"a":"\\\\\'"}'],
  ["a fence", '```json\n{"a":1}\n```', '{"a":1}\n'],
])("%s is put right", (_, given, right) => {
  expect(repairJson(given)).toBe(right);
});

test("JSON stays as it is", () => {
  fc.assert(
    fc.property(fc.json(), (json) => {
      expect(repairJson(json)).toBe(json);
    }),
    { seed },
  );
});

test("text that breaks off stays unreadable, wherever it does", () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string({ unit: "binary" }), fc.jsonValue(), { minKeys: 1 }), fc.nat(), (value, at) => {
      const whole = JSON.stringify(value);
      const cut = whole.slice(0, 1 + (at % (whole.length - 1)));
      expect(parseArguments(cut).ok).toBe(false);
      expect(parseArguments(`\`\`\`json\n${cut}\n\`\`\``).ok).toBe(false);
    }),
    { numRuns: 500, seed },
  );
});

test("slips in a value change nothing of it", () => {
  const text = fc.string({ unit: "binary" }).map((one) => one.replace(/[\u0000\ud800-\udfff]/g, "?")); // oxlint-disable-line no-control-regex -- what cannot be stored
  fc.assert(
    fc.property(fc.dictionary(text, fc.oneof(text, fc.array(text))), (value) => {
      const sloppy = JSON.stringify(value)
        .replace(/\\([nrt])/g, (whole, letter: string, at: number, all: string) =>
          /(^|[^\\])(\\\\)*$/.test(all.slice(0, at)) ? ({ n: "\n", r: "\r", t: "\t" }[letter] ?? whole) : whole,
        )
        .replace(/\]$|\}$/, ",$&")
        .replace("{,}", "{}");
      expect(parseArguments(sloppy)).toEqual({ ok: true, value: JSON.parse(JSON.stringify(value)) as unknown });
    }),
    { numRuns: 300, seed },
  );
});

test("whatever the text is, reading it never throws, and what is read has one canonical text", () => {
  const hostile = fc.oneof(
    fc.string({ unit: "binary" }),
    fc
      .array(fc.constantFrom("{", "}", "[", "]", '"', ",", ":", "\\", "\n", "1", "null", "__proto__", "```", "'"), {
        maxLength: 40,
      })
      .map((parts) => parts.join("")),
  );
  fc.assert(
    fc.property(hostile, (text) => {
      const read = parseJson(text);
      const value = read.ok ? read.value : null;
      expect(JSON.parse(canonical(value))).toEqual(JSON.parse(JSON.stringify(value)));
      expect(read.ok || read.problem.length > 5).toBe(true);
    }),
    { numRuns: 1_000, seed },
  );
});

test("a megabyte of anything is read in linear time and on a small stack", () => {
  const million = (text: string): string => text.repeat(Math.ceil(1_000_000 / text.length));
  const keys = Array.from({ length: 50_000 }, (_, index) => `"key ${index}":${index}`).join(",");
  const texts = [
    `{${keys}}`,
    `{${keys},}`,
    `{"a":${million("[")}`,
    million(",   "),
    `{"a":"${million("\n")}"}`,
    million('"'),
    million("\\"),
    `{"a":"${million("\u0000")}"}`,
  ];
  for (const text of texts) {
    const startedAt = performance.now();
    const read = parseArguments(text);
    if (read.ok) canonical(read.value);
    // A quadratic reader would take minutes.
    expect(performance.now() - startedAt).toBeLessThan(5_000);
  }
});
