import { createHash } from "node:crypto";
import { createVault } from "@cortex/secrets";
import { eventually, startMcpServer, type TestMcpServer } from "@cortex/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createWorkplace, type WorkerProcess, type Workplace } from "./testing/worker-fixture.ts";

const keys = `k1:${Buffer.alloc(32, 7).toString("base64")}`;
const canary = "Bearer canary-of-a-server";
const declared = { name: "note", description: "Takes a note", inputSchema: { type: "object" } };
let place: Workplace;
let server: TestMcpServer;
let worker: WorkerProcess;
beforeAll(async () => {
  [place, server] = await Promise.all([createWorkplace(), startMcpServer([declared])]);
  worker = await place.aWorker({ SECRETS_KEYS: keys, EGRESS_ALLOW: `127.0.0.1:${server.port}` });
  await pin();
});
afterAll(async () => {
  await place.close();
  await server.close();
});

/** As the API stores a server that was asked and accepted. */
const pin = async () => {
  const id = crypto.randomUUID();
  const { accountId } = place.user;
  const sealed = createVault(keys).seal(
    JSON.stringify({ authorization: canary }),
    `${accountId}|mcp_servers|${id}|headers`,
  );
  const hash = createHash("sha256")
    .update(JSON.stringify([declared.name, declared.description, declared.inputSchema]))
    .digest("hex");
  const tool = {
    name: "mcp_ours_note",
    server_tool: "note",
    description: "Takes a note",
    parameters: { type: "object" },
    hash,
  };
  await place.database.owner.query(
    `insert into cortex.mcp_servers (id, account_id, name, url, headers_sealed, header_names, approval, pinned)
     values ($1, $2, 'ours', $3, $4, '{authorization}', 'never', $5)`,
    [id, accountId, server.url, sealed, JSON.stringify([tool])],
  );
};
const resultOf = async (runId: string) => {
  const { rows } = await place.database.owner.query<{ result: string; state: string; is_error: boolean }>(
    "select result, state, is_error from cortex.tool_calls where run_id = $1 order by step, position",
    [runId],
  );
  return rows[0];
};
const run = async (args = '{"text":"hi"}') => {
  const { runId } = await place.start(`[[tool=mcp_ours_note ${args}]] thanks`);
  expect(await place.ended(runId)).toMatchObject({ status: "completed" });
  return { runId, result: await resultOf(runId) };
};

test("a run calls the tool of a server, with the account's credentials, which nothing else ever sees", async () => {
  const { runId, result } = await run();
  expect(result).toMatchObject({ state: "done", is_error: false, result: 'note({"text":"hi"})' });
  expect(server.seen.filter(({ method }) => method === "tools/call")).toMatchObject([
    { headers: { authorization: canary }, params: { name: "note", arguments: { text: "hi" } } },
  ]);
  expect(JSON.stringify(await place.events(runId))).not.toContain("canary");
  expect(worker.output()).not.toContain("canary");
});

test("a call that broke off is unknown and made once; the run goes on", async () => {
  const before = server.asked("tools/call");
  server.trouble = ({ method }, response) => {
    if (method === "tools/call") response.destroy();
    return method === "tools/call";
  };
  const { result } = await run();
  server.trouble = () => false;
  expect(result).toMatchObject({
    state: "unknown",
    is_error: true,
    result: expect.stringContaining("not known") as unknown,
  });
  expect(server.asked("tools/call") - before).toBe(1);
});

test("a server that is taken away in mid-run is gone at the next step", async () => {
  const before = server.asked("tools/call");
  const started = await place.start(
    '[[tool=mcp_ours_note {"text":"1"}]] [[tool=execute_command {"command":"sleep 2"}]] [[tool=mcp_ours_note {"text":"2"}]] thanks',
  );
  const { runId } = started;
  await eventually(async () => (await resultOf(runId))?.state === "done");
  await place.database.owner.query("update cortex.mcp_servers set enabled = false");
  await place.ended(runId, 20_000);
  // The demo model calls only what it is offered, and says so.
  expect(server.asked("tools/call")).toBe(before + 1);
  const { threadId } = started;
  expect((await place.messages(threadId)).at(-1)?.text).toContain("mcp_ours_note");
});
