import type { UnplacedEvent } from "@cortex/contracts";
import { eventually } from "@cortex/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { elapsed, openFollowing, seeded } from "./testing/follower-fixture.ts";
import { logKeys } from "./keys.ts";
import { type LogFixture, openLogFixture } from "./testing/log-fixture.ts";
import { completed, delta, identity, messageCompleted, storedRun } from "./testing/sample-events.ts";
import type { EnsureLog } from "./tail.ts";

let fixture: LogFixture;

beforeAll(async () => {
  fixture = await openLogFixture();
});
afterAll(() => fixture.close());

/** So many messages of so many deltas, each committed before its end is told. */
const messages = 20;
const deltas = 12;

test.each([1, 2, 3, 4])(
  "a network that breaks at random and logs that vanish: the log and its follower stay exact (seed %i)",
  async (seed) => {
    const random = seeded(seed);
    const run = await storedRun(fixture.log);
    const { proxy, log: throughProxy } = await fixture.brokenLog({
      autoResendUnfulfilledCommands: random(2) === 0,
      maxRetriesPerRequest: random(2),
      commandTimeout: 60,
      retryStrategy: () => 5,
    });
    // The writer's network breaks; whoever follows sees the losses of the log only.
    const writer = fixture.writerOf(run, { log: throughProxy, settings: { flushMs: 1, previewRetryMs: 150 } });
    const following = openFollowing(fixture.redis);
    const ensure: EnsureLog = () => run.recover();
    const received = following.receive(run.runId, undefined, { ensure });
    let working = true;
    let faults = 0;

    const breakThings = async () => {
      while (working) {
        await elapsed(5 + random(40));
        faults += 1;
        switch (random(4)) {
          case 0:
            proxy.cut();
            break;
          case 1:
            await proxy.set("mute");
            await elapsed(random(30));
            proxy.cut();
            await proxy.set("pass");
            break;
          case 2:
            await proxy.set("refuse");
            await elapsed(random(30));
            await proxy.set("pass");
            break;
          default:
            if (random(4) === 0) await fixture.lose(run);
        }
      }
    };
    const breaking = breakThings();

    const commit = (event: UnplacedEvent): Promise<void> => {
      run.stored.push(event);
      return writer.durable([event]);
    };
    for (let message = 0; message < messages; message++) {
      for (let piece = 0; piece < deltas; piece++) {
        await writer.preview(delta(run.runId, `${message}`, `${piece},`));
        await elapsed(random(4));
      }
      await commit(
        messageCompleted(run.runId, `${message}`, Array.from({ length: deltas }, (_, piece) => `${piece},`).join("")),
      );
    }
    working = false;
    await breaking;
    await proxy.set("pass");
    run.stored.push(completed(run.runId));
    expect(await writer.end(run.stored.slice(-1), 2)).not.toBe(null);
    expect(faults).toBeGreaterThan(10);

    const entries = await fixture.entriesOf(run);
    expect(entries.map((entry) => entry.seq)).toEqual(entries.map((_, seq) => seq));
    // Every durable event once, in the order of the commits.
    const durable = entries.filter((entry) => entry.type !== "message.delta" && entry.type !== "resync");
    expect(durable.map((entry) => identity(entry))).toEqual(run.stored.map((event) => identity(event)));
    // Of each message a beginning, before its end.
    const whole = Array.from({ length: deltas }, (_, piece) => `${piece},`).join("");
    const shown = new Map<string, string>();
    for (const entry of entries) {
      if (entry.type === "message.delta") shown.set(entry.message_id, (shown.get(entry.message_id) ?? "") + entry.text);
      if (entry.type === "message.completed") shown.delete(entry.message.id);
      for (const text of shown.values()) expect(whole.startsWith(text)).toBe(true);
    }
    expect(shown.size).toBe(0);

    const got = await received;
    const list = await fixture.redis.lrange(logKeys(run.runId).list, 0, -1);
    expect(got.entries.slice(-list.length)).toEqual(list);
    await eventually(() => following.tails.size() === 0);
    following.close();
  },
);
