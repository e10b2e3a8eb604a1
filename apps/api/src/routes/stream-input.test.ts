import { request } from "node:http";
import type { Problem } from "@cortex/contracts";
import { aRun, eventually } from "@cortex/testing";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { type ApiUnderTest, type Person, startApiUnderTest } from "../testing/api-under-test.ts";
import { fingerprint } from "../testing/route-table.ts";
import { type Frame, openStream } from "../testing/stream-client.ts";
import { aWriter, completed, delta } from "../testing/written-log.ts";

let api: ApiUnderTest;
let alice: Person;
/** Alice's, with an ended log of five entries under epoch 2. */
let runId: string;
beforeAll(async () => {
  api = await startApiUnderTest();
  alice = await api.person();
  ({ runId } = await aRun(api.database.owner, { accountId: alice.accountId, status: "running" }));
  const write = await aWriter(api, runId, 2);
  await write(delta(runId, "a"), delta(runId, "b"), completed(runId));
});
afterAll(() => api.close());

/** A request as no tidy client sends it: any header any number of times, any body. */
const raw = (input: {
  query?: string;
  headers?: Record<string, string | string[]>;
  method?: string;
  body?: string;
  id?: string;
}): Promise<string> =>
  new Promise((resolve, reject) => {
    const { method = "GET", headers = {}, query = "", body, id = runId } = input;
    const url = `${api.url}/api/agent-run/${id}/stream${query}`;
    const sent = request(
      url,
      { method, headers: { authorization: `Bearer ${alice.token}`, ...headers } },
      (response) => {
        let text = "";
        response.setEncoding("utf8").on("data", (piece: string) => (text += piece));
        response.on("end", () => {
          const { statusCode = 0 } = response;
          const ids = [...text.matchAll(/^id: (.+)$/gm)].map(([, each]) => each);
          if (statusCode === 200 && method !== "HEAD") resolve(`200 ${ids.join(" ")}`);
          else if (text === "") resolve(String(statusCode));
          else resolve(`${statusCode} ${(JSON.parse(text) as Problem).code}`);
        });
      },
    );
    sent.on("error", reject);
    sent.end(body);
  });

const whole = "200 2.0 2.1 2.2 2.3 2.4";

test("cursors: of this epoch, of an older one, both ways at once, twice, and what is none", async () => {
  const lastEventId = (value: string | string[]) => ({ headers: { "last-event-id": value } });
  const answers: [Parameters<typeof raw>[0], string][] = [
    [{}, whole],
    [{ query: "?after=" }, whole],
    [{ query: "?after=2.2" }, "200 2.3 2.4"],
    [{ query: "?after=1.0" }, whole],
    [{ query: "?after=1.4242" }, whole],
    [lastEventId("2.3"), "200 2.4"],
    [lastEventId("2.4"), "204"],
    // The header is newer than the address that a browser comes back to; one that is empty is none.
    [{ query: "?after=2.1", ...lastEventId("2.3") }, "200 2.4"],
    [{ query: "?after=2.1", ...lastEventId("") }, whole],
    [{ query: "?after=nonsense", ...lastEventId("2.3") }, "200 2.4"],
    [{ query: "?after=2.1", ...lastEventId("nonsense") }, "400 invalid_cursor"],
    [lastEventId(["2.1", "2.3"]), "400 invalid_cursor"],
    [{ query: "?after=2.1&after=2.3" }, "422 validation_failed"],
    [{ query: "?after[]=2.1" }, "422 validation_failed"],
    [{ query: "?since=2.1" }, "422 validation_failed"],
    [{ query: "?after=2.5" }, "400 invalid_cursor"],
    [{ query: "?after=3.0" }, "400 invalid_cursor"],
    [{ query: "?after=2.1%00" }, "422 validation_failed"],
    [{ query: "?after=%E2%80%8B2.1" }, "400 invalid_cursor"],
    [{ query: `?after=2.${"9".repeat(400)}` }, "400 invalid_cursor"],
  ];
  const before = await fingerprint(api);
  for (const [input, answer] of answers) {
    const known = await raw(input);
    expect([input, known]).toEqual([input, answer]);
  }
  expect(await fingerprint(api)).toBe(before);
  expect([api.services.tails.size(), api.services.slots.size()]).toEqual([0, 0]);
});

test("HEAD, a body, another method, headers that come twice", async () => {
  const before = await fingerprint(api);
  expect(await raw({ method: "HEAD" })).toBe("200");
  expect(await raw({ method: "HEAD", query: "?after=nonsense" })).toBe("400");
  expect(await raw({ method: "POST" })).toBe("405 method_not_allowed");
  expect(await raw({ body: "{}", headers: { "content-type": "application/json", "content-length": "2" } })).toBe(whole);
  expect(await raw({ headers: { accept: "application/json" } })).toBe(whole);
  const own = `Bearer ${alice.token}`;
  expect(await raw({ headers: { authorization: [own, "Bearer e30.e30.e30"] } })).toMatch(/^(200|401)/);
  expect(await raw({ headers: { authorization: `${own}, ${own}` } })).toBe("401 unauthenticated");
  expect(await raw({ headers: { "x-account-id": `${alice.accountId}, ${alice.accountId}` } })).toBe(
    "422 validation_failed",
  );
  expect(await fingerprint(api)).toBe(before);
});

test("ids and accounts of somebody else, in every position: 404 and no more", async () => {
  const bob = await api.person();
  const his = await aRun(api.database.owner, { accountId: bob.accountId, status: "running" });
  const before = await fingerprint(api);
  for (const [id, headers] of [
    [his.runId, {}],
    [his.runId, { "x-account-id": bob.accountId }],
    [his.runId, { "x-account-id": alice.accountId }],
    [runId, { "x-account-id": bob.accountId }],
    [runId, { "x-account-id": crypto.randomUUID() }],
    [crypto.randomUUID(), {}],
    ["..", {}],
    [`${runId}%00`, {}],
  ] as const) {
    for (const query of ["", "?after=2.1", "?after=9.9"]) {
      expect([id, query, await raw({ id, headers, query })]).toEqual([id, query, "404 not_found"]);
    }
  }
  expect(await raw({ headers: { "x-account-id": alice.accountId } })).toBe(whole);
  expect(await fingerprint(api)).toBe(before);
  expect(api.services.tails.size()).toBe(0);
});

test("a reader that is dropped because it does not read goes on from its cursor, with exactly the rest", async () => {
  const strict = await startApiUnderTest({ timings: { patienceMs: 300 } });
  onTestFinished(async () => void (await strict.close()));
  const person = await strict.person();
  const run = await aRun(strict.database.owner, { accountId: person.accountId, status: "running" });
  const write = await aWriter(strict, run.runId);
  // More than the kernels of any system keep for a connection that nobody reads (4 MB for the sender here, a client's own buffers beside it).
  const text = "x".repeat(16_384);
  for (let each = 0; each < 10; each += 1) await write(...Array.from({ length: 50 }, () => delta(run.runId, text)));
  await write(completed(run.runId));

  const slow = await openStream(strict, { runId: run.runId, as: person });
  await slow.next();
  await eventually(() => strict.services.slots.size() === 0);
  const had: Frame[] = [];
  const dropped = (async () => {
    for (let frame = await slow.next(); frame; frame = await slow.next()) had.push(frame);
  })();
  await expect(dropped).rejects.toThrow("terminated");
  const last = had.at(-1)?.id ?? "";
  const rest = await (await openStream(strict, { runId: run.runId, as: person, lastEventId: last })).rest();
  expect([...had, ...rest].map((frame) => frame.id)).toEqual([
    ...Array.from({ length: 501 }, (_, index) => `1.${index + 1}`),
    null,
  ]);
  expect(had.length).toBeLessThan(501);
});
