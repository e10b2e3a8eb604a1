import { expect, test } from "vitest";
import { createLogger } from "./logger.ts";

/** What a logger writes of an error whose server has repeated what it was sent, as libraries keep it: in words, in a cause, in a field. */
const linesOf = (secret: string, secrets: string[]): string => {
  let written = "";
  const log = createLogger({ name: "test", level: "info", secrets }, { write: (line) => void (written += line) });
  const cause = new Error(`refused: ${secret}`);
  const error = Object.assign(new Error("failed", { cause }), { data: JSON.stringify({ "x-key": secret }) });
  log.warn({ err: error, deep: { deeper: { deepest: secret } } }, `with ${secret}`);
  return written;
};

test.each(["key-of-an-endpoint", 'with "quotes" and \\ in it', "k1:AbC+/=AbC+/=AbC+/=="])(
  "no line holds the key %s of its process, and each stays JSON",
  (secret) => {
    const written = linesOf(secret, [secret]);
    expect(written).not.toContain(secret);
    expect(written).not.toContain(JSON.stringify(secret).slice(1, -1));
    expect(JSON.parse(written)).toMatchObject({ level: 40, msg: "with [masked]" });
    // The control: it is the mask that keeps it out.
    expect(linesOf(secret, [])).toContain(JSON.stringify(secret).slice(1, -1));
  },
);

test("what looks like a secret is masked, whoever it belongs to", () => {
  const written = linesOf("Bearer 0123456789abcdef0123", []);
  expect(written).not.toContain("0123456789abcdef");
  expect(JSON.parse(written)).toMatchObject({ msg: "with [masked]" });
});
