import { once } from "node:events";
import { createServer, type IncomingMessage, request as httpRequest } from "node:http";
import type { AddressInfo } from "node:net";
import { aMember, anAccount, aThread } from "@cortex/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openPreviewEdge } from "../preview-edge.ts";
import { type ApiUnderTest, type Person, startApiUnderTest, streamTicketSecret } from "../testing/api-under-test.ts";

let api: ApiUnderTest;
let alice: Person;
let bob: Person;
beforeAll(async () => {
  api = await startApiUnderTest();
  [alice, bob] = [await api.person(), await api.person()];
});
afterAll(() => api.close());

/** A sandbox of an account whose port 3000 a worker shows. */
const aShownPort = async (accountId: string, worker = `w-${crypto.randomUUID()}`) => {
  const { owner } = api.database;
  const { projectId } = await aThread(owner, { accountId });
  const { rows } = await owner.query<{ id: string }>(
    `with worker as (insert into cortex.workers (id, concurrency) values ($3, 1) returning id), sandbox as (
       insert into cortex.sandboxes (account_id, project_id, provider, state) values ($1, $2, 'local', 'started') returning id)
     insert into cortex.exposed_ports (sandbox_id, port, account_id, worker_id, address)
     select sandbox.id, 3000, $1, worker.id, '127.0.0.1:1' from sandbox, worker returning sandbox_id as id`,
    [accountId, projectId, worker],
  );
  return { sandboxId: rows[0]?.id ?? "", projectId, worker };
};

const linkTo = (sandboxId: string, port: number | string = 3000, as: Person = alice) =>
  api.call("GET", `/sandboxes/${sandboxId}/ports/${port}`, { as });

test("members get a link, viewers too; to others there is no such sandbox", async () => {
  const { sandboxId } = await aShownPort(alice.accountId);
  const { status, body } = await linkTo(sandboxId);
  expect([status, body]).toEqual([
    200,
    {
      url: expect.stringMatching(/^http:\/\/[a-z2-7]{61}\.localhost$/) as string,
      expires_at: expect.any(String) as string,
    },
  ]);
  const read = api.services.previewLinks?.read(new URL((body as { url: string }).url).host);
  expect(read).toMatchObject({ kind: "link", sandboxId, port: 3000 });
  expect(await linkTo(sandboxId, 3000, bob)).toMatchObject({ status: 404, body: { code: "not_found" } });
  expect(await linkTo(crypto.randomUUID())).toMatchObject({ status: 404, body: { code: "not_found" } });
  const { accountId } = await anAccount(api.database.owner);
  await aMember(api.database.owner, { accountId, userId: bob.userId, role: "viewer" });
  const theirs = await aShownPort(accountId);
  expect((await linkTo(theirs.sandboxId, 3000, bob)).status).toBe(200);
  for (const port of ["0", "65536", "http", "1e3x"])
    expect([port, (await linkTo(sandboxId, port)).status]).toEqual([port, 404]);
});

test("a port that nobody shows: not exposed, its worker silent, its sandbox or project gone", async () => {
  const { owner } = api.database;
  const notExposed = { status: 404, body: { code: "port_not_exposed" } };
  const missing = { status: 404, body: { code: "not_found" } };
  const silent = await aShownPort(alice.accountId);
  expect(await linkTo(silent.sandboxId, 3001)).toMatchObject(notExposed);
  await owner.query("update cortex.workers set heartbeat_at = now() - interval '16 seconds' where id = $1", [
    silent.worker,
  ]);
  expect(await linkTo(silent.sandboxId)).toMatchObject(notExposed);
  const deleted = await aShownPort(alice.accountId);
  await owner.query("update cortex.sandboxes set state = 'deleted' where id = $1", [deleted.sandboxId]);
  expect(await linkTo(deleted.sandboxId)).toMatchObject(missing);
  const gone = await aShownPort(alice.accountId);
  await owner.query("update cortex.projects set deleted_at = now() where id = $1", [gone.projectId]);
  expect(await linkTo(gone.sandboxId)).toMatchObject(missing);
});

test("the edge asks the database who shows a port, and the API's own origin shows none", async () => {
  const { sandboxId } = await aShownPort(alice.accountId);
  let asked = "";
  const listener = createServer();
  listener.on("connect", (request, socket) => {
    asked = request.url ?? "";
    socket.end("HTTP/1.1 404 No\r\n\r\n");
  });
  listener.listen(0, "127.0.0.1");
  await once(listener, "listening");
  const address = `127.0.0.1:${(listener.address() as AddressInfo).port}`;
  await api.database.owner.query("update cortex.exposed_ports set address = $2 where sandbox_id = $1", [
    sandboxId,
    address,
  ]);
  const edge = await openPreviewEdge(
    { API_HOST: "127.0.0.1", PREVIEW_PORT: 0, PREVIEW_SECRET: streamTicketSecret },
    api.services,
  );
  const { host } = new URL(((await linkTo(sandboxId)).body as { url: string }).url);
  const visit = async (port: number) => {
    const request = httpRequest({ host: "127.0.0.1", port, path: "/some/page", headers: { host }, agent: false });
    request.end();
    const [response] = (await once(request, "response")) as [IncomingMessage];
    response.resume();
    return { status: response.statusCode, type: response.headers["content-type"] };
  };
  expect(await visit(edge?.port ?? 0)).toEqual({ status: 503, type: "text/html; charset=utf-8" });
  expect(asked).toBe(`${sandboxId}:3000`);
  expect(await visit(Number(new URL(api.url).port))).toEqual({ status: 404, type: "application/problem+json" });
  await edge?.close();
  listener.close();
});

test.each(["nowhere", "127.0.0.1", "http://127.0.0.1:1", "a b:1", "127.0.0.1:1/x", "user@h:1", "h:123456"])(
  "no row says that a worker is at %s",
  async (address) => {
    const { sandboxId } = await aShownPort(alice.accountId);
    const change = api.database.owner.query("update cortex.exposed_ports set address = $2 where sandbox_id = $1", [
      sandboxId,
      address,
    ]);
    await expect(change).rejects.toThrow("exposed_ports_address_check");
  },
);
