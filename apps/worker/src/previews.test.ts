import { once } from "node:events";
import { type IncomingMessage, request as httpRequest } from "node:http";
import { env } from "node:process";
import { openDatabase } from "@cortex/db";
import { silentLogger } from "@cortex/observability";
import { createPreviewLinks, servePreviews } from "@cortex/previews";
import { findPortHolder } from "@cortex/sandbox/exposed-ports";
import { eventually } from "@cortex/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createWorkplace, type WorkerProcess, type Workplace } from "./testing/worker-fixture.ts";

const secret = "a secret of a test, thirty-two and more";
const previewUrl = "http://{label}.localhost";

let place: Workplace;
let worker: WorkerProcess;
let edgePort: number;
const closers: (() => Promise<unknown>)[] = [];
beforeAll(async () => {
  place = await createWorkplace();
  closers.push(() => place.close());
  worker = await place.aWorker({ PREVIEW_URL: previewUrl, PREVIEW_SECRET: secret });
  const log = silentLogger();
  const api = openDatabase({ url: place.database.apiUrl, poolSize: 2, name: "edge", log });
  closers.push(() => api.close());
  const links = createPreviewLinks({ secret, url: previewUrl });
  const findHolder = (target: { sandboxId: string; port: number }) => findPortHolder(api.db, target);
  const edge = await servePreviews({ secret, links, issuer: "none", findHolder, log }, { host: "127.0.0.1", port: 0 });
  closers.push(() => edge.close());
  edgePort = edge.port;
});
afterAll(async () => {
  for (const close of closers.reverse()) await close();
});

const visit = async (url: string, options: { method?: string; path?: string; body?: Buffer } = {}) => {
  const { body, ...rest } = options;
  const headers = { host: new URL(url).host };
  const request = httpRequest({ host: "127.0.0.1", port: edgePort, ...rest, headers, agent: false });
  request.end(body);
  const [response] = (await once(request, "response")) as [IncomingMessage];
  let text = "";
  for await (const chunk of response) text += String(chunk);
  return { status: response.statusCode, text };
};

/** A server that counts what it gets, and one that takes its whole sandbox with it. */
const source = `require("node:http").createServer((request, response) => {
  if (request.url === "/die") process.kill(-1, "SIGKILL");
  let bytes = 0;
  request.on("data", (chunk) => { bytes += chunk.length; });
  request.on("end", () => response.end(request.method + " " + request.url + " " + bytes));
}).listen(3000, "127.0.0.1", () => console.log("listening"));`;

const call = (tool: string, input: object): string => `[[tool=${tool} ${JSON.stringify(input)}]]`;
const startServer = [
  call("create_file", { path: "server.cjs", content: source }),
  call("start_process", { command: "node server.cjs" }),
];

const resultsOf = async (prompt: string, threadId?: string) => {
  const started = await place.start(prompt, threadId === undefined ? {} : { threadId });
  expect(await place.ended(started.runId, 60_000)).toMatchObject({ status: "completed" });
  const events = await place.expectWholeLog(started.runId);
  return {
    ...started,
    results: events.flatMap((event) =>
      event.type === "tool_call.completed" && event.name === "expose_port" ? [event] : [],
    ),
  };
};

const portOf = async (threadId: string, port: number) => {
  const { rows } = await place.database.owner.query<{ sandbox_id: string; worker_id: string }>(
    `select exposed_ports.* from cortex.exposed_ports join cortex.sandboxes on sandboxes.id = sandbox_id
       join cortex.threads using (project_id) where threads.id = $1 and port = $2`,
    [threadId, port],
  );
  return rows[0] ?? null;
};

const wherePortsAreNone = (): void => {
  test("a sandbox without servers has no ports to show", async () => {
    const { results } = await resultsOf(call("expose_port", { port: 3000 }));
    expect(results).toMatchObject([{ is_error: true, result: expect.stringContaining("no servers") as string }]);
  });
};

const wherePortsAre = (): void => {
  test("what an agent exposes is seen through its worker, until the sandbox stops or the worker dies", async () => {
    const { threadId, results } = await resultsOf(
      [...startServer, call("expose_port", { port: 3000 }), call("expose_port", { port: 3999 })].join(" "),
    );
    const [shown, refused] = results;
    expect(refused).toMatchObject({
      is_error: true,
      result: expect.stringContaining("Nothing listens on port 3999") as string,
    });
    expect(await portOf(threadId, 3999)).toBeNull();
    expect(shown?.is_error).toBe(false);
    const [url = ""] = /http:\S+/.exec(String(shown?.result)) ?? [];
    expect(await portOf(threadId, 3000)).toMatchObject({ worker_id: worker.id });

    // The run has ended, its server goes on.
    expect(await visit(url, { path: "/page?a=1" })).toEqual({ status: 200, text: "GET /page?a=1 0" });
    const body = Buffer.alloc(5_000_000);
    expect(await visit(url, { method: "POST", path: "/up", body })).toEqual({ status: 200, text: "POST /up 5000000" });
    const crowd = await Promise.all(Array.from({ length: 100 }, (_, n) => visit(url, { path: `/${n}` })));
    expect(crowd.map(({ text }) => text)).toEqual(crowd.map((_, n) => `GET /${n} 0`));

    // The sandbox dies with all that ran in it: first the visitor learns it, then the row.
    expect((await visit(url, { path: "/die" })).status).toBe(502);
    await eventually(async () => (await visit(url)).status === 503);
    await eventually(async () => (await portOf(threadId, 3000)) === null);
    expect((await visit(url)).text).toContain("not shown");

    const again = await resultsOf(
      [call("start_process", { command: "node server.cjs" }), call("expose_port", { port: 3000 })].join(" "),
      threadId,
    );
    const [newUrl = ""] = /http:\S+/.exec(String(again.results[0]?.result)) ?? [];
    expect(await visit(newUrl)).toEqual({ status: 200, text: "GET / 0" });
    worker.signal("SIGKILL");
    await worker.ended();
    expect(await visit(newUrl)).toMatchObject({ status: 503, text: expect.stringContaining("not shown") as string });
    expect(await portOf(threadId, 3000)).not.toBeNull();
    // A worker that nobody hears of is taken off the list, and its ports with it.
    await place.database.owner.query("delete from cortex.workers where id = $1", [worker.id]);
    expect(await portOf(threadId, 3000)).toBeNull();
  }, 120_000);
};

// A machine may say of itself that local sandboxes do not work on it.
(env["CORTEX_SANDBOX"] === "virtual" ? wherePortsAreNone : wherePortsAre)();
