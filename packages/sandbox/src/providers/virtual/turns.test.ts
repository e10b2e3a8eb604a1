import { expect, test } from "vitest";
import { Turns } from "./one-at-a-time.ts";

test("one at a time, in the order of asking; who fails or leaves lets the next one in", async () => {
  const turns = new Turns();
  const log: string[] = [];
  const first = Promise.withResolvers<void>();
  const abort = new AbortController();
  const waiting = [
    turns.take(async () => {
      log.push("first begins");
      await first.promise;
      log.push("first ends");
      throw new Error("first failed");
    }),
    turns.take(() => Promise.resolve(log.push("left")), abort.signal),
    turns.take(() => Promise.resolve(log.push("third"))),
  ];
  const settled = Promise.allSettled(waiting);
  abort.abort(new Error("left"));
  await expect(waiting[1]).rejects.toThrow("left");
  expect(log).toEqual(["first begins"]);
  first.resolve();
  expect((await settled).map((result) => result.status)).toEqual(["rejected", "rejected", "fulfilled"]);
  expect(log).toEqual(["first begins", "first ends", "third"]);
});
