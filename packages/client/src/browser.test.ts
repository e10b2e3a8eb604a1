import { execFile } from "node:child_process";
import type { ServerResponse } from "node:http";
import { join } from "node:path";
import { promisify } from "node:util";
import { createTestFolder, eventually } from "@cortex/testing";
import { expect, test } from "vitest";
import { pageAnswer } from "./testing/browser-page.ts";
import { findChromium, openPage } from "./testing/chromium.ts";
import { type Arrived, json, problem, serve } from "./testing/http-server.ts";
import { openStreamAnswer, restOf, runId, shortRun, threadId } from "./testing/recorded-log.ts";
import { reduceRun } from "./view/reduce-run.ts";
import { emptyRunView } from "./view/run-view.ts";

/** ES2023 is what Node 20 has; it costs nothing to find out here that a method is younger. */
test("the sources need nothing that only Node has: they compile with a browser's types and ES2023 alone", async () => {
  const compiler = join(import.meta.dirname, "../../../node_modules/.bin/tsc");
  const options = ["--noEmit", "--ignoreConfig", "--strict", "--skipLibCheck", "--allowImportingTsExtensions"];
  const target = ["--target", "esnext", "--lib", "es2023,dom,dom.iterable,dom.asynciterable", "--types", ""];
  const modules = ["--module", "nodenext", "--verbatimModuleSyntax", join(import.meta.dirname, "index.ts")];
  const compiled = promisify(execFile)(compiler, [...options, ...target, ...modules]);
  expect((await compiled.catch((error: { stdout: string }) => error)).stdout).toBe("");
});

/** What a page of another origin does; it tells what came of it. */
const script = (api: string): string => `
  import { createClient, isApiError } from "@cortex/client";
  const tell = (body) => fetch("/told", { method: "POST", body: JSON.stringify(body) });
  try {
    const client = createClient({ baseUrl: ${JSON.stringify(api)}, token: async () => "secret", timing: { reconnectMs: 0, longestReconnectMs: 1 } });
    const thread = await client.createThread({ title: "from a page" });
    const events = [];
    let view = null;
    for await (const one of client.watchRun(${JSON.stringify(runId)})) {
      events.push(one.event.cursor);
      view = one.view;
    }
    const leave = new AbortController();
    const waiting = client.followRun("waiting", { signal: leave.signal }).next();
    setTimeout(() => leave.abort(new Error("left")), 50);
    const left = await waiting.catch((error) => error.message);
    const refused = await client.getRun("gone").catch((error) => isApiError(error, "not_found") && error.requestId);
    await tell({ thread: thread.id, events, view, left, refused });
  } catch (error) {
    await tell({ error: String(error?.stack ?? error) });
  }
`;

/** What the API says to a page of another origin (`apps/api/src/edge-headers.ts`). */
const allowPage = (request: Arrived, response: ServerResponse): void => {
  response.setHeader("access-control-allow-origin", request.headers.origin ?? "");
  response.setHeader("access-control-allow-headers", "authorization, content-type, idempotency-key");
};

const at = "2026-11-20T12:00:00.000Z";
const thread = {
  id: threadId,
  project_id: threadId,
  title: "",
  metadata: {},
  active_run_id: null,
  created_at: at,
  updated_at: at,
};

test("a page of another origin creates, follows a run whose stream is cut, leaves, and is refused", async (context) => {
  const program = findChromium(process.env);
  if (program === null) {
    const missing =
      "no Chromium or Chrome on this machine: install one, or name it in CHROMIUM, to run the client in a browser";
    if (process.env["CORTEX_REQUIRE_BROWSER"] === "1") throw new Error(missing);
    // The suite promises to run on a machine with nothing prepared; the report counts this test as not run and says why.
    return context.skip(missing);
  }
  const whole = Buffer.from(restOf(shortRun, null));
  const cuts = [whole.indexOf("世") + 1, 150];
  await using api = await serve((request, response) => {
    allowPage(request, response);
    if (request.method === "OPTIONS") return void response.writeHead(204).end();
    if (request.path.endsWith("/waiting/stream")) return void openStreamAnswer(response);
    if (request.path.endsWith("/threads")) return json(response, 201, thread);
    if (!request.path.endsWith("/stream")) return problem(response, 404, "not_found");
    const cut = cuts.shift();
    const rest = Buffer.from(restOf(shortRun, request.query.get("after")));
    openStreamAnswer(response);
    if (cut === undefined) response.end(rest);
    else response.write(rest.subarray(0, cut), () => response.destroy());
  });
  let told = "";
  await using pages = await serve(pageAnswer({ script: script(api.url), told: (text) => (told = text) }));
  await using browser = openPage({ program, profile: createTestFolder(), url: pages.url });
  // 2 to 4 s: a browser starts, and a hundred modules are fetched.
  await eventually(() => told !== "", { timeoutMs: 40_000, intervalMs: 50 }).catch((error: unknown) => {
    throw new Error(`the page told nothing: ${browser.said()}`, { cause: error });
  });
  expect(JSON.parse(told)).toEqual({
    thread: threadId,
    events: shortRun.map(({ seq }) => `1.${seq}`),
    view: shortRun.reduce(reduceRun, emptyRunView),
    left: "left",
    refused: "req-1",
  });
  const streams = api.arrived.filter(({ method, path }) => method === "GET" && path.includes(runId));
  expect(streams).toHaveLength(3);
}, 60_000);
