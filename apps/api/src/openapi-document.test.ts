import { Validator } from "@seriousme/openapi-schema-validator";
import { afterAll, beforeAll, expect, test } from "vitest";
import { aliases, later } from "./aliases.ts";
import { type ApiUnderTest, type Person, startApiUnderTest } from "./testing/api-under-test.ts";

interface Operation {
  operationId?: string;
  summary?: string;
  security?: unknown[];
  parameters?: { $ref?: string; in?: string; name?: string }[];
  responses: Record<string, unknown>;
}
interface Document {
  openapi: string;
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, unknown> };
}

let api: ApiUnderTest;
let alice: Person;
let document: Document;
beforeAll(async () => {
  api = await startApiUnderTest();
  alice = await api.person();
  document = (await api.call("GET", "/openapi.json")).body as Document;
});
afterAll(() => api.close());

/** Written anew by `npm test -- apps/api/src/openapi-document.test.ts -u`. */
test("the checked-in document is the one that is served", async () => {
  await expect(`${JSON.stringify(document, null, 2)}\n`).toMatchFileSnapshot("../openapi.json");
});

test("it is a valid OpenAPI 3.1 document", async () => {
  const validator = new Validator();
  const { valid, errors } = await validator.validate(
    (await api.call("GET", "/openapi.json")).body as Record<string, unknown>,
  );
  expect([valid, errors]).toEqual([true, undefined]);
  expect([document.openapi, validator.version]).toEqual(["3.1.0", "3.1"]);
});

test("it describes every route once, with an id, a summary and its refusals, and nothing else", () => {
  const words = new Set(aliases.map(({ path }) => path));
  const registered = new Set(
    api.app.routes
      .filter(({ method, path }) => method !== "ALL" && path.startsWith("/api/") && !path.startsWith("/api/v1/"))
      .map(({ method, path }) => `${method} ${path.slice("/api".length).replaceAll(/:(\w+)/g, "{$1}")}`)
      .filter((each) => !words.has(each.split(" ")[1] ?? "") && !/ \/(docs|openapi\.json)/.test(each)),
  );
  const operations = Object.entries(document.paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, operation]) => ({ name: `${method.toUpperCase()} ${path}`, operation })),
  );
  expect(new Set(operations.map(({ name }) => name))).toEqual(registered);
  const ids = operations.map(({ operation }) => operation.operationId);
  expect([new Set(ids).size, ids.includes(undefined)]).toEqual([operations.length, false]);
  for (const { name, operation } of operations) {
    expect([name, operation.summary]).toEqual([name, expect.stringMatching(/\S/)]);
    const refusals = operation.security ? ["401", "422", "500", "503"] : [];
    expect([name, refusals.filter((status) => !(status in operation.responses))]).toEqual([name, []]);
  }
  const creating = operations.filter(({ operation }) =>
    operation.parameters?.some((each) => each.$ref?.endsWith("IdempotencyKey")),
  );
  expect(creating.map(({ operation }) => operation.operationId ?? "").toSorted((a, b) => a.localeCompare(b))).toEqual([
    "createAgent",
    "createAgentVersion",
    "createMcpServer",
    "createProject",
    "createThread",
    "initiateRun",
    "postMessage",
    "startRun",
  ]);
});

test("the contract's objects are its components", () => {
  const objects = [
    "Account",
    "Agent",
    "AgentVersion",
    "BillingStatus",
    "LedgerEntry",
    "Me",
    "Message",
    "Problem",
    "Project",
    "Ready",
    "Run",
    "RunEvent",
    "Step",
    "Thread",
    "ToolInfo",
    "Usage",
  ];
  expect(Object.keys(document.components.schemas)).toEqual(expect.arrayContaining(objects));
  const text = JSON.stringify(document.paths);
  for (const object of objects.filter((each) => !["Account", "Usage"].includes(each))) {
    expect(text).toContain(`"$ref":"#/components/schemas/${object}"`);
  }
});

test("every address of the product's descriptions answers: now, or 404 until its feature exists", async () => {
  const addresses = [
    "/sessions",
    "/threads",
    "/thread",
    "/project",
    "/runs",
    "/agent-run",
    "/agent-runs",
    "/tools",
    "/tools/calculator",
  ];
  for (const prefix of ["/api", "/api/v1"]) {
    for (const path of addresses) {
      const answer = await fetch(`${api.url}${prefix}${path}`, { headers: { authorization: `Bearer ${alice.token}` } });
      expect([prefix, path, answer.status]).toEqual([prefix, path, 200]);
    }
  }
  for (const each of later) {
    const [method = "", path = ""] = each.split(" ");
    const answer = await api.call(method, path.replaceAll(/\{\w+\}/g, crypto.randomUUID()), { as: alice });
    expect([each, [404, 405].includes(answer.status)]).toEqual([each, true]);
  }
});

test("a body reaches its route under /api/v1, too", async () => {
  const headers = { authorization: `Bearer ${alice.token}`, "content-type": "application/json" };
  const answer = await fetch(`${api.url}/api/v1/projects`, {
    method: "POST",
    headers,
    body: JSON.stringify({ name: "v1" }),
  });
  expect([answer.status, await answer.json()]).toMatchObject([201, { name: "v1" }]);
});
