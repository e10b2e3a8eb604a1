import { aRun, aUser, createFaultProxy, createTestFolder, eventually } from "@cortex/testing";
import { expect, onTestFinished, test } from "vitest";
import { startApi } from "./testing/api-process.ts";
import { pageAnswer } from "./testing/browser-page.ts";
import { findChromium, openPage } from "./testing/chromium.ts";
import { type Answer, serve } from "./testing/http-server.ts";

/** What a page does that follows a run without our client: it has a ticket, and an `EventSource` that comes back by itself. */
const script = (input: { api: string; token: string; runId: string }): string => `
  import { createClient } from "@cortex/client";
  const { api, token, runId } = ${JSON.stringify(input)};
  const tell = (body) => fetch("/told", { method: "POST", body: JSON.stringify(body) });
  try {
    const client = createClient({ baseUrl: api, token });
    const { ticket } = await client.createStreamTicket(runId);
    const address = \`\${api}/api/agent-run/\${runId}/stream?ticket=\`;
    const source = new EventSource(address + ticket);
    const events = [];
    let opened = 0;
    let done = 0;
    source.onopen = () => {
      opened += 1;
      if (opened === 2) client.stopRun(runId).catch((error) => tell({ error: String(error) }));
    };
    source.onmessage = ({ lastEventId, data }) => {
      events.push([lastEventId, JSON.parse(data).type]);
      if (events.length === 1) tell("first");
    };
    source.addEventListener("done", () => (done += 1));
    source.onerror = () => {
      if (source.readyState !== EventSource.CLOSED) return;
      const forged = new EventSource(address + "forged");
      forged.onerror = () => tell({ ticket, events, opened, done, forged: forged.readyState });
    };
  } catch (error) {
    await tell({ error: String(error?.stack ?? error) });
  }
`;

test("a browser's EventSource follows by ticket over a cut line, from its cursor, and stops at the end", async (context) => {
  const program = findChromium(process.env);
  if (program === null) {
    const missing = "no Chromium or Chrome on this machine: install one, or name it in CHROMIUM";
    if (process.env["CORTEX_REQUIRE_BROWSER"] === "1") throw new Error(missing);
    return context.skip(missing);
  }
  let answer: Answer = () => {};
  await using pages = await serve((request, response, number) => answer(request, response, number));
  await using api = await startApi({ WEB_ORIGINS: pages.url });
  const line = await createFaultProxy({ host: "127.0.0.1", port: api.port });
  onTestFinished(() => line.close());
  const { userId, accountId } = await aUser(api.database.owner);
  const { runId } = await aRun(api.database.owner, { accountId });
  const told: string[] = [];
  const page = { api: `http://127.0.0.1:${line.port}`, token: api.tokenOf(userId), runId };
  answer = pageAnswer({ script: script(page), told: (text) => told.push(text) });

  await using browser = openPage({ program, profile: createTestFolder(), url: pages.url });
  const toldAbout = async (count: number): Promise<void> => {
    await eventually(() => told.length >= count, { timeoutMs: 40_000, intervalMs: 50 }).catch((error: unknown) => {
      throw new Error(`the page told only ${told.join()}: ${browser.said()}`, { cause: error });
    });
  };
  await toldAbout(1);
  expect(told[0]).toBe('"first"');
  line.cut();
  await toldAbout(2);
  const { ticket, ...rest } = JSON.parse(told[1] ?? "") as { ticket: string };
  expect(rest).toEqual({
    events: [
      ["1.0", "run.queued"],
      ["1.1", "run.stopped"],
    ],
    opened: 2,
    done: 1,
    forged: 2, // EventSource.CLOSED: a ticket that is none is not tried again
  });
  // Cut, whole, 204, 401.
  await eventually(() => api.log().split('"route":"/api/agent-run/:agent_run_id/stream"').length === 5);
  expect(api.log()).not.toContain(ticket.split(".")[1]?.slice(0, 40));
}, 90_000);
