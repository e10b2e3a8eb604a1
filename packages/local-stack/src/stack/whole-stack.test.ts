import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type Client, createClient, emptyRunView, reduceRun } from "@cortex/client";
import type { RunEvent } from "@cortex/contracts";
import { createTestFolder, eventually } from "@cortex/testing";
import { createClient as createSupabaseClient } from "@supabase/supabase-js";
import pg from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type RunningCommand, startCommandLine } from "../testing/run-command.ts";
import { freePorts } from "../testing/stub-checkout.ts";
import { signIn } from "./demo-user.ts";
import type { StackFile } from "./stack-file.ts";

/*
 * All rooms together, as shipped: API and three workers as processes, real Postgres, Redis, auth and HTTP, driven by the public client.
 */

const START_MS = 60_000;

let stack: RunningCommand;
let file: StackFile;
let client: Client;
let owner: pg.Client;

beforeAll(async () => {
  const home = join(createTestFolder(), "home");
  const environment = { ...(await freePorts()), PATH: process.env["PATH"] ?? "", CORTEX_HOME: home, WORKERS: "3" };
  stack = startCommandLine("start", ["--no-sample"], environment);
  await stack.says("cortex ready\n", START_MS);
  file = JSON.parse(readFileSync(join(home, "stack.json"), "utf8")) as StackFile;
  const user = file.demo_user ?? { email: "", password: "" };
  const token = await signIn({ supabaseUrl: file.supabase_url, publishableKey: file.supabase_anon_key ?? "", user });
  client = createClient({ baseUrl: file.api_url, token: async () => token });
  owner = new pg.Client(file.database_url);
  await owner.connect();
}, 2 * START_MS);
afterAll(async () => {
  // Also when the set-up has failed half-way: nothing else ends the stack.
  try {
    await owner.end();
  } finally {
    stack.signal("SIGINT");
    await stack.ended;
  }
});

/** What a follower that joins after `delayMs` gets, and how the run looks to it in the end. */
const followLate = async (runId: string, delayMs: number) => {
  const joinsAt = performance.now() + delayMs;
  await eventually(() => performance.now() >= joinsAt);
  const events: RunEvent[] = [];
  let view = emptyRunView;
  for await (const event of client.followRun(runId)) {
    events.push(event);
    view = reduceRun(view, event);
  }
  return { events, view };
};

test(
  "200 followers that join 200 short runs at random moments see every event once and in order",
  { timeout: 90_000 },
  async () => {
    const prompt = "[[tokens=12]] [[delay=10]]";
    const lanes = Array.from({ length: 20 }, async (_, lane) => {
      const seen = [];
      for (let n = 0; n < 10; n++) {
        const thread = await client.createThread({});
        const { agent_run_id: runId } = await client.startRun(thread.id, { prompt });
        seen.push({ runId, ...(await followLate(runId, ((lane * 10 + n) * 37) % 400)) });
      }
      return seen;
    });
    const followed = (await Promise.all(lanes)).flat();
    expect(followed).toHaveLength(200);
    for (const { events, view } of followed) {
      expect(events.map((event) => event.seq)).toEqual(events.map((_, index) => index));
      expect(events[0]?.type).toBe("run.queued");
      expect(events.at(-1)?.type).toBe("run.completed");
      expect(events.filter((event) => event.type.startsWith("run.") && event.type !== "run.queued")).toHaveLength(2);
      expect(view.status).toBe("completed");
    }
    const { rows } = await owner.query<{ id: string; text: string; workers: number }>(
      `select run_id as id, content->0->>'text' as text, count(*) over ()::int as workers from cortex.messages where role = 'assistant' and run_id = any($1)`,
      [followed.map(({ runId }) => runId)],
    );
    const stored = new Map(rows.map((row) => [row.id, row.text]));
    expect(stored.size).toBe(200);
    for (const { runId, events } of followed) {
      const streamed = events.map((event) => (event.type === "message.delta" ? event.text : "")).join("");
      expect(streamed).toBe(stored.get(runId));
    }
    const shares = await owner.query(
      "select worker_id, count(*)::int as runs from cortex.agent_runs group by worker_id",
    );
    expect(shares.rows).toHaveLength(3);
  },
);

test("the running processes are who they should be, and a browser's token opens no door around them", async () => {
  const { rows } = await owner.query<{ name: string; role: string; privileged: boolean }>(
    `select distinct application_name as name, usename as role, rolsuper or rolbypassrls or exists (
       select from pg_class join pg_namespace on pg_namespace.oid = relnamespace where nspname = 'cortex' and relowner = pg_roles.oid
     ) as privileged
     from pg_stat_activity join pg_roles on rolname = usename where application_name in ('cortex-api', 'cortex-worker')
     order by name`,
  );
  expect(rows).toEqual([
    { name: "cortex-api", role: "cortex_api", privileged: false },
    { name: "cortex-worker", role: "cortex_worker", privileged: false },
  ]);
  const supabase = createSupabaseClient(file.supabase_url, file.supabase_anon_key ?? "", {
    auth: { persistSession: false },
  });
  await supabase.auth.signInWithPassword(file.demo_user ?? { email: "", password: "" });
  const read = await supabase.schema("cortex").from("agent_runs").select();
  expect(read.data).toBeNull();
  expect(read.error).not.toBeNull();
});

test("two tenants: neither sees, follows, stops nor lists what is the other's", async () => {
  const stranger = createSupabaseClient(file.supabase_url, file.supabase_anon_key ?? "", {
    auth: { persistSession: false },
  });
  const signedUp = await stranger.auth.signUp({ email: "stranger@example.com", password: "a long password" });
  const token = signedUp.data.session?.access_token ?? "";
  const other = createClient({ baseUrl: file.api_url, token: async () => token });
  const thread = await client.createThread({});
  const { agent_run_id: runId } = await client.startRun(thread.id, { prompt: "[[tokens=5]]" });
  const notFound = expect.objectContaining({ code: "not_found", status: 404 }) as unknown;
  await expect(other.getRun(runId)).rejects.toEqual(notFound);
  await expect(other.stopRun(runId)).rejects.toEqual(notFound);
  await expect(other.getThread(thread.id)).rejects.toEqual(notFound);
  await expect(other.startRun(thread.id, { prompt: "mine now" })).rejects.toEqual(notFound);
  await expect(other.followRun(runId).next()).rejects.toEqual(notFound);
  expect((await other.listRuns({})).data).toEqual([]);
  expect((await other.me()).accounts).toHaveLength(1);
});
