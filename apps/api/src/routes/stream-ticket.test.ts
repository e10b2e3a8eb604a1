import { createSecretKey } from "node:crypto";
import { type Problem, type StreamTicket } from "@cortex/contracts";
import { createLogger } from "@cortex/observability";
import { aMember, anAccount, aRun } from "@cortex/testing";
import { SignJWT } from "jose";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { type ApiUnderTest, type Person, startApiUnderTest, streamTicketSecret } from "../testing/api-under-test.ts";
import { fingerprint } from "../testing/route-table.ts";
import { openStream } from "../testing/stream-client.ts";

const site = "https://app.example.com";

let api: ApiUnderTest;
let alice: Person;
let bob: Person;
/** Alice's, ended: its stream ends by itself. */
let runId: string;
const logLines: string[] = [];
beforeAll(async () => {
  const log = createLogger({ name: "api", level: "trace" }, { write: (line) => void logLines.push(line) });
  api = await startApiUnderTest({ log, env: { WEB_ORIGINS: site } });
  [alice, bob] = [await api.person(), await api.person()];
  runId = await endedRun(alice.accountId);
});
afterAll(() => api.close());

const endedRun = async (accountId: string): Promise<string> =>
  (await aRun(api.database.owner, { accountId, status: "completed" })).runId;

const ticketFor = async (id = runId, as = alice, headers: Record<string, string> = {}): Promise<StreamTicket> => {
  const answer = await api.call("POST", `/agent-run/${id}/stream-ticket`, { as, headers });
  expect([answer.status, answer.headers.get("cache-control")]).toEqual([200, "no-store"]);
  return answer.body as StreamTicket;
};

/** How the stream answers to a ticket, or to whatever stands in the address. */
const answerTo = async (query: string, id = runId, headers: Record<string, string> = {}): Promise<string> => {
  const response = await fetch(`${api.url}/api/agent-run/${id}/stream?${query}`, { headers });
  const text = await response.text();
  if (response.status === 200) return text.endsWith("event: done\ndata: {}\n\n") ? "200 done" : "200 cut";
  if (text === "") return String(response.status);
  const { status, code } = JSON.parse(text) as Problem;
  return `${status} ${code}`;
};

const sign = (claims: object, secret = streamTicketSecret, alg = "HS256"): Promise<string> =>
  new SignJWT({ ...claims }).setProtectedHeader({ alg }).sign(createSecretKey(secret, "utf8"));

const seconds = (fromNow: number): number => Math.floor(Date.now() / 1_000) + fromNow;

test("a ticket opens the stream as often as it is shown, from any cursor, under every name of the stream", async () => {
  const { ticket, expires_at: expiresAt } = await ticketFor();
  const lifeMs = Date.parse(expiresAt) - Date.now();
  expect([lifeMs > 540_000, lifeMs <= 600_000]).toEqual([true, true]);

  const whole = await openStream(api, { runId, query: `?ticket=${ticket}` });
  const frames = await whole.rest();
  expect(frames.at(-1)).toEqual({ id: null, event: "done", data: "{}" });
  // As EventSource comes back: the same address, the cursor in a header that only browsers set.
  const rest = await openStream(api, { runId, query: `?ticket=${ticket}`, lastEventId: frames[0]?.id ?? "" });
  expect(await rest.rest()).toEqual(frames.slice(1));
  const last = frames.at(-2)?.id ?? "";
  expect(await answerTo(`ticket=${ticket}`, runId, { "last-event-id": last })).toBe("204");

  for (const path of [`/api/v1/agent-run/${runId}`, `/api/runs/${runId.toUpperCase()}`, `/api/agent-runs/${runId}`]) {
    const url = `${api.url}${path}/stream?ticket=${ticket}&after=${last}`;
    expect([path, (await fetch(url)).status]).toEqual([path, 204]);
    expect([path, (await fetch(url, { method: "HEAD" })).ok]).toEqual([path, true]);
  }
});

test("a page of a listed origin may read it", async () => {
  const { ticket } = await ticketFor();
  const url = `${api.url}/api/agent-run/${runId}/stream?ticket=${ticket}`;
  for (const [origin, allowed] of [
    [site, site],
    ["https://evil.example", null],
  ] as const) {
    const { headers } = await fetch(url, { headers: { origin } });
    expect([origin, headers.get("access-control-allow-origin")]).toEqual([origin, allowed]);
  }
});

test("forged, spent, foreign, doubled: 401 and nothing more, and nothing written", async () => {
  const { ticket } = await ticketFor();
  const claims = { sub: alice.userId, account: null, run: runId, aud: "cortex-stream", exp: seconds(60) };
  expect(await answerTo(`ticket=${await sign(claims)}`)).toBe("200 done"); // or the forgeries below would prove nothing
  const [head, body, signature] = ticket.split(".");
  const none = Buffer.from(JSON.stringify({ alg: "none" })).toString("base64url");
  const otherRun = await endedRun(alice.accountId);
  const bad: Record<string, string> = {
    expired: await sign({ ...claims, exp: seconds(-1) }),
    "without an end": await sign({ ...claims, exp: undefined }),
    "another secret": await sign(claims, "x".repeat(40)),
    "another algorithm": await sign(claims, streamTicketSecret, "HS512"),
    "another purpose": await sign({ ...claims, aud: "authenticated" }),
    "no purpose": await sign({ ...claims, aud: undefined }),
    "another run": await sign({ ...claims, run: otherRun }),
    "no run": await sign({ ...claims, run: undefined }),
    "no account": await sign({ ...claims, account: undefined }),
    "no uuid": await sign({ ...claims, account: "1' or true" }),
    "no user": await sign({ ...claims, sub: undefined }),
    unsigned: `${none}.${body}.`,
    "a signature that is cut": `${head}.${body}.${signature?.slice(0, -4)}`,
    "an access token": alice.token,
    garbage: "garbage",
    nothing: "",
    "too long": await sign({ ...claims, padding: "x".repeat(2_000) }),
    "a line break": `${ticket}%0a`,
  };
  const before = await fingerprint(api);
  for (const [what, given] of Object.entries(bad)) {
    expect([what, await answerTo(`ticket=${given}`)]).toEqual([what, "401 unauthenticated"]);
  }
  expect(await answerTo(`ticket=${ticket}&ticket=${ticket}`)).toBe("401 unauthenticated");
  expect(await answerTo(`Ticket=${ticket}`)).toBe("401 unauthenticated");
  // For another run of the same user, too.
  expect(await answerTo(`ticket=${ticket}`, otherRun)).toBe("401 unauthenticated");
  expect(await fingerprint(api)).toBe(before);
});

test("a ticket is good for the stream and for nothing else; it buys no other ticket", async () => {
  const { ticket } = await ticketFor();
  const calls = [
    ["GET", `/agent-run/${runId}`],
    ["GET", `/agent-run/${runId}/steps`],
    ["POST", `/agent-run/${runId}/stop`],
    ["POST", `/agent-run/${runId}/stream-ticket`],
    ["DELETE", `/agent-run/${runId}`],
    ["GET", "/me"],
    ["GET", "/agent-runs"],
  ] as const;
  const before = await fingerprint(api);
  for (const [method, path] of calls) {
    const inAddress = await api.call(method, `${path}?ticket=${ticket}`);
    const inHeader = await api.call(method, path, { headers: { authorization: `Bearer ${ticket}` } });
    expect([method, path, inAddress.status, inHeader.status]).toEqual([method, path, 401, 401]);
  }
  expect(await fingerprint(api)).toBe(before);
});

test("a header is the caller's word: a bad one is not saved by a ticket, a good one not spoilt", async () => {
  const { ticket } = await ticketFor();
  const with_ = (authorization: string, query = `ticket=${ticket}`) => answerTo(query, runId, { authorization });
  expect(await with_("Bearer e30.e30.e30")).toBe("401 unauthenticated");
  expect(await with_("")).toBe("401 unauthenticated");
  expect(await with_(`Bearer ${ticket}`)).toBe("401 unauthenticated");
  expect(await with_(`Bearer ${alice.token}`, "ticket=garbage")).toBe("200 done");
  expect(await with_(`Bearer ${bob.token}`)).toBe("404 not_found");
});

test("nobody gets a ticket for a run that they may not see, in no position of the request", async () => {
  const bobs = await endedRun(bob.accountId);
  const ask = async (id: string, headers: Record<string, string> = {}, as = alice): Promise<number> =>
    (await api.call("POST", `/agent-run/${id}/stream-ticket`, { as, headers })).status;
  expect(await ask(bobs)).toBe(404);
  expect(await ask(crypto.randomUUID())).toBe(404);
  expect(await ask("no-id")).toBe(404);
  expect(await ask(runId, { "x-account-id": bob.accountId })).toBe(404);
  expect(await ask(bobs, { "x-account-id": bob.accountId })).toBe(404);
  expect(await ask(runId, { "x-account-id": alice.accountId })).toBe(200);
  const none = await api.call("POST", `/agent-run/${runId}/stream-ticket`);
  expect([none.status, none.body]).toMatchObject([401, { code: "unauthenticated" }]);
});

test("what a ticket allows is asked at each connection: membership that ends, a run that goes, an account that was named", async () => {
  const { accountId } = await anAccount(api.database.owner);
  await aMember(api.database.owner, { accountId, userId: bob.userId });
  const run = await endedRun(accountId);
  const { ticket } = await ticketFor(run, bob);
  const acting = await ticketFor(run, bob, { "x-account-id": accountId });
  expect(await answerTo(`ticket=${ticket}`, run)).toBe("200 done");
  expect(await answerTo(`ticket=${acting.ticket}`, run)).toBe("200 done");
  // It brings its account with it; one in a header is no part of it.
  expect(await answerTo(`ticket=${acting.ticket}`, run, { "x-account-id": alice.accountId })).toBe("200 done");
  // A ticket that says another account than the run's sees nothing there.
  const claims = { sub: bob.userId, account: bob.accountId, run, aud: "cortex-stream", exp: seconds(60) };
  expect(await answerTo(`ticket=${await sign(claims)}`, run)).toBe("404 not_found");

  await api.database.owner.query("delete from cortex.account_members where user_id = $1 and account_id = $2", [
    bob.userId,
    accountId,
  ]);
  expect(await answerTo(`ticket=${ticket}`, run)).toBe("404 not_found");
  expect(await answerTo(`ticket=${acting.ticket}`, run)).toBe("404 not_found");

  const gone = await endedRun(alice.accountId);
  const last = await ticketFor(gone);
  expect((await api.call("DELETE", `/agent-run/${gone}`, { as: alice })).status).toBe(204);
  expect(await answerTo(`ticket=${last.ticket}`, gone)).toBe("404 not_found");
});

test("a stream ends with its ticket, and with the membership behind it", async () => {
  const quick = await startApiUnderTest({ timings: { recheckMs: 50 } });
  onTestFinished(async () => void (await quick.close()));
  const { owner } = quick.database;
  const person = await quick.person();
  const { accountId } = await anAccount(owner);
  await aMember(owner, { accountId, userId: person.userId });
  const run = (await aRun(owner, { accountId })).runId;
  const claims = { sub: person.userId, account: null, run, aud: "cortex-stream" };
  const short = await openStream(quick, { runId: run, query: `?ticket=${await sign({ ...claims, exp: seconds(2) })}` });
  const long = await openStream(quick, {
    runId: run,
    query: `?ticket=${await sign({ ...claims, exp: seconds(600) })}`,
  });
  await long.next();
  expect((await short.rest()).map((frame) => frame.id)).toEqual(["1.0"]);
  const { rowCount } = await owner.query("delete from cortex.account_members where user_id = $1 and account_id = $2", [
    person.userId,
    accountId,
  ]);
  expect([rowCount, await long.rest()]).toEqual([1, []]);
});

test("no ticket reaches the log, refused or not, also not when something breaks", async () => {
  const { ticket } = await ticketFor();
  const canary = `${ticket.slice(0, -4)}AAAA`;
  const broken = await aRun(api.database.owner, { accountId: alice.accountId, status: "running" });
  const forBroken = await ticketFor(broken.runId);
  await answerTo(`ticket=${ticket}`);
  await answerTo(`ticket=${canary}`);
  await answerTo(`ticket=${ticket}&after=nonsense`);
  await fetch(`${api.url}/api/nothing?ticket=${ticket}`);
  await fetch(`${api.url}/api/me?ticket=${ticket}`, { headers: { authorization: `Bearer ${alice.token}` } });
  await fetch(`${api.url}/%?ticket=${ticket}`);
  await fetch(`${api.url}/api/agent-run/${runId}/stream?ticket=${ticket}`, { method: "POST" });
  await api.database.owner.query("alter table cortex.agent_runs rename to gone");
  expect(await answerTo(`ticket=${forBroken.ticket}`, broken.runId)).toBe("500 internal");
  await api.database.owner.query("alter table cortex.gone rename to agent_runs");
  const log = logLines.join("\n");
  expect(log).toContain('"route":"/api/agent-run/:agent_run_id/stream"');
  for (const each of [ticket, canary, forBroken.ticket]) {
    for (const part of each.split(".").slice(1)) expect(log).not.toContain(part.slice(0, 40));
  }
});
