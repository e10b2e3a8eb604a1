import type { Worker } from "node:worker_threads";
import { expect, onTestFinished, test } from "vitest";
import { inThread } from "./library/in-thread.ts";
import { oneTurn } from "./testing/run.ts";
import { createPlaces } from "./thread-places.ts";

test("no more than there are places act at once; a failure and an abort leave theirs to the next", async () => {
  const inPlace = createPlaces(2);
  const { signal } = new AbortController();
  const begun: string[] = [];
  const act = (name: string, of = signal) => {
    const end = Promise.withResolvers<string>();
    const done = inPlace(of, () => {
      begun.push(name);
      return end.promise;
    });
    return { end, done };
  };
  const [a, b] = [act("a"), act("b")];
  const leaving = new AbortController();
  const c = act("c", leaving.signal);
  const d = act("d");
  await oneTurn();
  expect(begun).toEqual(["a", "b"]);
  leaving.abort(new Error("no more patience"));
  await expect(c.done).rejects.toThrow("no more patience");
  a.end.reject(new Error("broken"));
  await expect(a.done).rejects.toThrow("broken");
  const e = act("e");
  await oneTurn();
  expect(begun).toEqual(["a", "b", "d"]);
  for (const one of [b, d, e]) one.end.resolve("done");
  expect(await Promise.all([b.done, d.done, e.done])).toEqual(["done", "done", "done"]);
  await expect(act("f", leaving.signal).done).rejects.toThrow("no more patience");
});

test("many hopeless calls of a helper hold two threads, not one each", async () => {
  let running = 0;
  let most = 0;
  const watch = (thread: Worker) => {
    most = Math.max(most, (running += 1));
    thread.once("exit", () => (running -= 1));
  };
  process.on("worker", watch);
  onTestFinished(() => void process.off("worker", watch));
  const leaving = new AbortController();
  const hopeless = { text: "a".repeat(50_000), pattern: "(a|a)*b", flags: "", limit: 1 };
  const calls = Array.from({ length: 6 }, () => inThread("matchText", hopeless, leaving.signal));
  await oneTurn();
  expect(most).toBe(2);
  leaving.abort(new Error("enough"));
  expect((await Promise.allSettled(calls)).map(({ status }) => status)).toEqual(Array(6).fill("rejected"));
  expect(most).toBe(2);
});
