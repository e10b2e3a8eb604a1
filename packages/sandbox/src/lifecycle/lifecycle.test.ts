import { randomUUID } from "node:crypto";
import { type Database, isOutage, openDatabase } from "@cortex/db";
import { silentLogger } from "@cortex/observability";
import {
  aProject,
  anAccount,
  aUser,
  createFaultProxy,
  createTestDatabase,
  eventually,
  type TestDatabase,
} from "@cortex/testing";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { SandboxError } from "../port/errors.ts";
import type { SandboxProvider } from "../port/provider.ts";
import { aLocalSubject, aSandboxHome } from "../testing/local-machine.ts";
import { textOf } from "../testing/subject.ts";
import { ensureSandbox, judgeRow, type LifecycleDeps } from "./ensure-sandbox.ts";
import { openSandboxLazily } from "./open-sandbox.ts";
import type { SandboxRow } from "./sandbox-rows.ts";

// The rows are the same for every provider; the interpreter runs everywhere.
const machine = await aLocalSubject(aSandboxHome(), "virtual");

let database: TestDatabase;
let workers: Database[];
let api: Database;
beforeAll(async () => {
  database = await createTestDatabase();
  const log = silentLogger();
  workers = [1, 2].map((n) => openDatabase({ url: database.workerUrl, poolSize: 6, name: `worker-${n}`, log }));
  api = openDatabase({ url: database.apiUrl, poolSize: 4, name: "api", log });
});
afterAll(async () => {
  await Promise.all([...workers, api].map((opened) => opened.close()));
  await database.drop();
});

const depsOf = (worker: number, provider: SandboxProvider = machine.provider): LifecycleDeps => {
  const opened = workers[worker];
  if (opened === undefined) throw new Error("no such worker");
  return { db: opened.db, provider, log: silentLogger(), outlast: (work) => work() };
};

const aScope = async () => {
  const { accountId } = await aUser(database.owner);
  const { projectId } = await aProject(database.owner, { accountId });
  return { accountId, projectId };
};

const rowsOf = async (projectId: string) => {
  const { rows } = await database.owner.query<{ id: string; state: string; provider: string; detail: string | null }>(
    "select id, state, provider, detail from cortex.sandboxes where project_id = $1 order by created_at",
    [projectId],
  );
  return rows;
};

/** The machine's provider with one method played by the test; its creations are counted. */
const aProvider = (create: (inner: SandboxProvider, call: number) => SandboxProvider["create"]) => {
  const inner = machine.provider;
  let calls = 0;
  const provider: SandboxProvider = {
    name: inner.name,
    capabilities: inner.capabilities,
    createTimeoutMs: inner.createTimeoutMs,
    create: (input, signal) => create(inner, ++calls)(input, signal),
    open: (ref, notices) => inner.open(ref, notices),
    resume: (ref) => inner.resume(ref),
    stop: (ref) => inner.stop(ref),
    delete: (ref) => inner.delete(ref),
    state: (ref) => inner.state(ref),
    list: () => inner.list(),
    close: () => inner.close(),
  };
  return { provider, calls: () => calls };
};

const untouched = (inner: SandboxProvider): SandboxProvider["create"] => inner.create.bind(inner);

describe("ensureSandbox", () => {
  test("makes one per project, however many ask at once in however many processes", async () => {
    const scope = await aScope();
    const counted = aProvider(untouched);
    const ensured = await Promise.all(
      Array.from({ length: 20 }, (_, index) => ensureSandbox(depsOf(index % 2, counted.provider), scope)),
    );
    expect(new Set(ensured.map(({ ref }) => ref.id)).size).toBe(1);
    expect(counted.calls()).toBe(1);
    expect(await rowsOf(scope.projectId)).toMatchObject([
      { state: "started", provider: "virtual", id: ensured[0]?.ref.id },
    ]);
  });

  test("two projects have two, also of one account", async () => {
    const scope = await aScope();
    const { projectId } = await aProject(database.owner, { accountId: scope.accountId });
    const one = await ensureSandbox(depsOf(0), scope);
    const two = await ensureSandbox(depsOf(0), { ...scope, projectId });
    expect(one.ref.id).not.toBe(two.ref.id);
  });

  test("a project of another account, a deleted one and none are the same: not found", async () => {
    const scope = await aScope();
    const other = await anAccount(database.owner);
    const missing = { code: "not_found", message: "There is no such project." };
    await expect(ensureSandbox(depsOf(0), { ...scope, accountId: other.accountId })).rejects.toMatchObject(missing);
    await expect(ensureSandbox(depsOf(0), { ...scope, projectId: randomUUID() })).rejects.toMatchObject(missing);
    await database.owner.query("update cortex.projects set deleted_at = now() where id = $1", [scope.projectId]);
    await expect(ensureSandbox(depsOf(0), scope)).rejects.toMatchObject(missing);
    expect(await rowsOf(scope.projectId)).toEqual([]);
  });

  test("works for a member through the API's own role, and not for a stranger", async () => {
    const { userId, accountId } = await aUser(database.owner);
    const stranger = await aUser(database.owner);
    const { projectId } = await aProject(database.owner, { accountId });
    const deps = { ...depsOf(0), db: api.db };
    const ensured = await ensureSandbox(deps, { accountId, projectId, userId });
    expect((await rowsOf(projectId))[0]?.id).toBe(ensured.ref.id);
    await expect(ensureSandbox(deps, { accountId, projectId, userId: stranger.userId })).rejects.toMatchObject({
      code: "not_found",
    });
  });

  test("a failure is written down, told to all who waited, and tried again by the next one", async () => {
    const scope = await aScope();
    const failing = aProvider((inner, call) =>
      call === 1 ? () => Promise.reject(new SandboxError("sandbox_unavailable", "no room")) : untouched(inner),
    );
    const results = await Promise.allSettled(
      Array.from({ length: 6 }, () => ensureSandbox(depsOf(0, failing.provider), scope)),
    );
    expect(results.some((result) => result.status === "rejected")).toBe(true);
    await ensureSandbox(depsOf(1, failing.provider), scope);
    expect(failing.calls()).toBe(2);
    expect(await rowsOf(scope.projectId)).toMatchObject([{ state: "started", detail: null }]);
  });

  test("whoever died while making it is replaced, and cannot come back", async () => {
    const scope = await aScope();
    const gate = Promise.withResolvers<void>();
    const entered = Promise.withResolvers<void>();
    const slow = aProvider((inner) => async (input, signal) => {
      entered.resolve();
      await gate.promise;
      return inner.create(input, signal);
    });
    const late = ensureSandbox(depsOf(0, slow.provider), scope);
    await entered.promise;
    const waiting = ensureSandbox(depsOf(1), scope);
    // As if the claim were older than a creation can take.
    await database.owner.query(
      "update cortex.sandboxes set updated_at = now() - interval '1 minute' where project_id = $1",
      [scope.projectId],
    );
    const ensured = await waiting;
    gate.resolve();
    expect((await late).ref).toEqual(ensured.ref);
    expect(await rowsOf(scope.projectId)).toMatchObject([{ state: "started" }]);
  });

  test("one whose maker has died is made anew by one of many", async () => {
    const scope = await aScope();
    await database.owner.query(
      "insert into cortex.sandboxes (account_id, project_id, provider, state, updated_at) values ($1, $2, 'virtual', 'creating', now() - interval '1 minute')",
      [scope.accountId, scope.projectId],
    );
    const counted = aProvider(untouched);
    await Promise.all(
      Array.from({ length: 20 }, (_, index) => ensureSandbox(depsOf(index % 2, counted.provider), scope)),
    );
    expect(counted.calls()).toBe(1);
  });

  test("one deleted while it was being made stays deleted", async () => {
    const scope = await aScope();
    const deleting = aProvider((inner, call) => async (input, signal) => {
      const ref = await inner.create(input, signal);
      if (call === 1)
        await database.owner.query("update cortex.sandboxes set state = 'deleted' where id = $1", [ref.id]);
      return ref;
    });
    const ensured = await ensureSandbox(depsOf(0, deleting.provider), scope);
    const rows = await rowsOf(scope.projectId);
    expect(rows.map((row) => row.state)).toEqual(["deleted", "started"]);
    expect(rows[1]?.id).toBe(ensured.ref.id);
  });

  test("a caller who waits may leave", async () => {
    const scope = await aScope();
    const gate = Promise.withResolvers<void>();
    const slow = aProvider((inner) => async (input, signal) => {
      await gate.promise;
      return inner.create(input, signal);
    });
    const first = ensureSandbox(depsOf(0, slow.provider), scope);
    await eventually(async () => (await rowsOf(scope.projectId)).length === 1);
    const abort = new AbortController();
    const second = ensureSandbox(depsOf(1), scope, abort.signal).catch((error: unknown) => error);
    abort.abort(new Error("stopped"));
    expect(String(await second)).toMatch(/stopped|abort/i);
    gate.resolve();
    await first;
  });

  test("one that its provider has lost is made anew under its own id, and that is said", async () => {
    const scope = await aScope();
    const { ref } = await ensureSandbox(depsOf(0), scope);
    await machine.provider.open(ref).files.write("kept", "x");
    await machine.provider.delete(ref);
    const again = await Promise.all([ensureSandbox(depsOf(0), scope), ensureSandbox(depsOf(1), scope)]);
    expect(again.map((ensured) => ensured.ref)).toEqual([ref, ref]);
    expect(again.flatMap((ensured) => ensured.notices)).toMatchObject([{ kind: "recreated" }]);
    expect(await machine.provider.open(ref).files.stat("kept")).toBeNull();
  });
});

describe("openSandboxLazily", () => {
  test("makes nothing until it is asked, and then one handle for all", async () => {
    const scope = await aScope();
    const openSandbox = openSandboxLazily(depsOf(0), scope);
    expect(await rowsOf(scope.projectId)).toEqual([]);
    const handles = await Promise.all(Array.from({ length: 10 }, () => openSandbox()));
    expect(new Set(handles).size).toBe(1);
    expect(await openSandbox()).toBe(handles[0]);
  });

  test("the workspace is kept between runs, and shared by those at the same time", async () => {
    const scope = await aScope();
    const first = await openSandboxLazily(depsOf(0), scope)();
    await first.files.write("from-first", "kept");
    const second = await openSandboxLazily(depsOf(1, machine.other), scope)();
    expect(textOf(await second.files.read("from-first"))).toBe("kept");
  });

  test("a sandbox deleted in the middle of a run: the call says so, the next opening is a new one and says so too", async () => {
    const scope = await aScope();
    const openSandbox = openSandboxLazily(depsOf(0), scope);
    const sandbox = await openSandbox();
    await sandbox.files.write("lost", "x");
    await machine.other.delete({ id: sandbox.id, externalId: sandbox.id });
    await expect(sandbox.files.read("lost")).rejects.toMatchObject({
      reason: expect.stringMatching(/gone|stopped/) as string,
    });
    const renewed = await openSandbox();
    expect(await renewed.files.stat("lost")).toBeNull();
    expect(renewed.takeNotices()).toMatchObject([{ kind: "recreated" }]);
  });

  test("a failed opening is forgotten", async () => {
    const scope = await aScope();
    const failing = aProvider((inner, call) =>
      call === 1 ? () => Promise.reject(new Error("no disk")) : untouched(inner),
    );
    const openSandbox = openSandboxLazily(depsOf(0, failing.provider), scope);
    await expect(openSandbox()).rejects.toMatchObject({ reason: "sandbox_unavailable" });
    expect((await openSandbox()).id).toBeTypeOf("string");
  });
});

describe("judgeRow", () => {
  const provider = { name: "local", createTimeoutMs: 5_000 } as const;
  const row = (state: SandboxRow["state"], over: Partial<SandboxRow> = {}): SandboxRow => ({
    id: "id",
    provider: "local",
    external_id: "external",
    state,
    detail: null,
    claim: "",
    age_ms: 0,
    ...over,
  });
  test.for<[string, SandboxRow | null, string]>([
    ["none", null, "make"],
    ["one being made", row("creating", { age_ms: 9_999 }), "wait"],
    ["one whose maker must have died", row("creating", { age_ms: 10_001 }), "make"],
    ["one that could not be made", row("error"), "make"],
    ["one that runs", row("started"), "use"],
    ["one that rests", row("stopped"), "use"],
    ["one put away", row("archived"), "use"],
    ["one of the interpreter, which has the same folder", row("started", { provider: "virtual" }), "use"],
    ["one in somebody's cloud", row("started", { provider: "daytona" }), "foreign"],
  ])("%s", ([, given, expected]) => {
    expect(judgeRow(given, provider).kind).toBe(expected);
  });
});

test.each(["insert into", "update"])(
  "a creation whose %s was committed without an answer is still made, by the same",
  async (statement) => {
    const scope = await aScope();
    const { hostname, port } = new URL(database.workerUrl);
    const proxy = await createFaultProxy({ host: hostname, port: Number(port) });
    const far = openDatabase({ url: proxy.through(database.workerUrl), poolSize: 1, name: "far", log: silentLogger() });
    try {
      const outlast: LifecycleDeps["outlast"] = async (work) => {
        try {
          return await work();
        } catch (error) {
          if (!isOutage(error)) throw error;
          return work();
        }
      };
      const counted = aProvider((inner) => {
        if (statement === "update") proxy.breakAt("commit", "answer");
        return untouched(inner);
      });
      if (statement === "insert into") proxy.breakAt("commit", "answer");
      // A claim that nobody recognised would be waited for that long.
      const provider = { ...counted.provider, createTimeoutMs: 120_000 };
      const { ref } = await ensureSandbox({ ...depsOf(0, provider), db: far.db, outlast }, scope);
      expect(proxy.broken()).toBe(1);
      expect(counted.calls()).toBe(1);
      expect(await rowsOf(scope.projectId)).toMatchObject([{ id: ref.id, state: "started" }]);
    } finally {
      await far.close();
      await proxy.close();
    }
  },
);
