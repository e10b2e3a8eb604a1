import { once } from "node:events";
import { createServer } from "node:net";
import { createTestRedis, refusalOf } from "@cortex/testing";
import { expect, onTestFinished, test } from "vitest";
import { freePort } from "../ports.ts";
import { checkExistingRedis } from "./existing.ts";

/** Something that listens, and answers everything with `text`. */
async function listener(text: string): Promise<string> {
  const server = createServer((socket) => {
    socket.on("error", () => {}); // the other side leaves as soon as it knows enough
    socket.on("data", () => socket.write(text));
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  const address = server.address();
  return `redis://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`;
}

test("a Redis that answers is taken, with its password", async () => {
  const { url, drop } = await createTestRedis();
  onTestFinished(drop);
  expect(await checkExistingRedis(url)).toMatch(/^\d+\.\d+\.\d+$/);
});

test("a wrong password is said, but not shown", async () => {
  const { url, drop } = await createTestRedis();
  onTestFinished(drop);
  const refusal = await refusalOf(checkExistingRedis(url.replace(/:[^:@]+@/, ":hidden@")));
  expect(refusal).toMatch(/^not_ready: REDIS_URL cannot be used.*another password/);
  expect(refusal).not.toContain("hidden");
});

test.each([
  ["nobody", async () => `redis://127.0.0.1:${await freePort()}`, "nothing answers"],
  ["another program", () => listener("HTTP/1.1 400 Bad Request\r\n\r\nprobe-end"), "is no Redis"],
  ["an old Redis", () => listener("$30\r\nredis_version:5.0.14\r\n\r\n$9\r\nprobe-end\r\n"), "is version 5.0.14"],
  [
    "a Redis that is loading",
    () => listener("-LOADING Redis is loading the dataset in memory\r\n"),
    "is still loading",
  ],
])("%s is said", async (_what, url, words) => {
  expect(await refusalOf(checkExistingRedis(await url()))).toContain(words);
});
