import { randomUUID } from "node:crypto";
import type { Message, RunStatus } from "@cortex/contracts";
import type { Pool } from "pg";

/*
 * Rows for tests, written as the owner: row-level security, grants and rules of the code under test do not apply, the
 * database's own constraints and triggers do. Each takes the pool of a TestDatabase first and makes what it needs
 * above itself unless told which to use.
 */

async function one<Row extends object>(owner: Pool, sql: string, values: unknown[]): Promise<Row> {
  const { rows } = await owner.query<Row>(sql, values);
  const row = rows[0];
  if (row === undefined) throw new Error(`no row from: ${sql}`);
  return row;
}

export type TestUser = {
  userId: string;
  email: string;
  /** the personal account that sign-up made */ accountId: string;
};

/** A confirmed user with a personal account (made by the database's trigger) and its default agent. */
export async function aUser(owner: Pool, input: { email?: string; planId?: string } = {}): Promise<TestUser> {
  const userId = randomUUID();
  const email = input.email ?? `user-${userId.slice(0, 8)}@example.com`;
  await owner.query(
    `insert into auth.users (id, aud, role, email, email_confirmed_at, raw_app_meta_data, raw_user_meta_data, created_at, updated_at)
     values ($1, 'authenticated', 'authenticated', $2, now(), '{"provider":"email","providers":["email"]}', '{}', now(), now())`,
    [userId, email],
  );
  const account = await one<{ id: string }>(owner, "select id from cortex.accounts where personal_user_id = $1", [
    userId,
  ]);
  if (input.planId !== undefined)
    await owner.query("update cortex.accounts set plan_id = $2 where id = $1", [account.id, input.planId]);
  return { userId, email, accountId: account.id };
}

/** A team account with its default agent; `ownerId` becomes its owner. */
export async function anAccount(
  owner: Pool,
  input: { ownerId?: string; name?: string; planId?: string } = {},
): Promise<{ accountId: string; ownerId: string }> {
  const ownerId = input.ownerId ?? (await aUser(owner)).userId;
  const account = await one<{ id: string }>(
    owner,
    "insert into cortex.accounts (kind, name, plan_id) select 'team', $1, coalesce($2, default_plan_id) from cortex.settings returning id",
    [input.name ?? "Team", input.planId ?? null],
  );
  await aMember(owner, { accountId: account.id, userId: ownerId, role: "owner" });
  return { accountId: account.id, ownerId };
}

export async function aMember(
  owner: Pool,
  input: { accountId: string; userId: string; role?: "owner" | "admin" | "member" | "viewer" },
): Promise<void> {
  await owner.query("insert into cortex.account_members (account_id, user_id, role) values ($1, $2, $3)", [
    input.accountId,
    input.userId,
    input.role ?? "member",
  ]);
}

export type TestProject = { projectId: string; accountId: string };

export async function aProject(owner: Pool, input: { accountId?: string; name?: string } = {}): Promise<TestProject> {
  const accountId = input.accountId ?? (await aUser(owner)).accountId;
  const project = await one<{ id: string }>(
    owner,
    "insert into cortex.projects (account_id, name) values ($1, $2) returning id",
    [accountId, input.name ?? "Project"],
  );
  return { projectId: project.id, accountId };
}

export type TestThread = TestProject & { threadId: string };

export async function aThread(
  owner: Pool,
  input: { accountId?: string; project?: TestProject; title?: string } = {},
): Promise<TestThread> {
  const project =
    input.project ?? (await aProject(owner, input.accountId === undefined ? {} : { accountId: input.accountId }));
  const thread = await one<{ id: string }>(
    owner,
    "insert into cortex.threads (account_id, project_id, title) values ($1, $2, $3) returning id",
    [project.accountId, project.projectId, input.title ?? ""],
  );
  return { ...project, threadId: thread.id };
}

/** The next message of a thread; a text message of the user unless told otherwise. */
export async function aMessage(
  owner: Pool,
  input: {
    threadId: string;
    text?: string;
    role?: Message["role"];
    runId?: string;
    step?: number;
    toolCalls?: Message["tool_calls"];
    toolCallId?: string;
  },
): Promise<{ messageId: string; seq: number }> {
  return one(
    owner,
    `with place as (
       update cortex.threads set next_seq = next_seq + 1 where id = $1 returning account_id, next_seq - 1 as seq
     )
     insert into cortex.messages (account_id, thread_id, run_id, step, seq, role, content, tool_calls, tool_call_id)
       select account_id, $1, $2, $3, seq, $4, $5, $6, $7 from place
       returning id as "messageId", seq`,
    [
      input.threadId,
      input.runId ?? null,
      input.step ?? null,
      input.role ?? "user",
      JSON.stringify([{ type: "text", text: input.text ?? "Hello" }]),
      input.toolCalls === undefined ? null : JSON.stringify(input.toolCalls),
      input.toolCallId ?? null,
    ],
  );
}

/** An agent with one version, which is active; not the default one. */
export async function anAgent(
  owner: Pool,
  input: { accountId: string; name?: string; instructions?: string; fallbackModels?: string[] },
): Promise<{ agentId: string; versionId: string }> {
  const made = await one<{ agentId: string; versionId: string }>(
    owner,
    `with agent as (
       insert into cortex.agents (account_id, name) values ($1, $2) returning id
     ), version as (
       insert into cortex.agent_versions (account_id, agent_id, version, instructions, fallback_models)
       select $1, id, 1, $3, $4 from agent returning id
     )
     select agent.id as "agentId", version.id as "versionId" from agent, version`,
    [input.accountId, input.name ?? "Agent", input.instructions ?? "Be brief.", input.fallbackModels ?? []],
  );
  await owner.query("update cortex.agents set active_version_id = $2 where id = $1", [made.agentId, made.versionId]);
  return made;
}

export type TestRun = TestThread & { runId: string };

/**
 * A run of the account's default agent. Queued runs get their outbox row; `admitted` gives them a place in the fleet
 * and delivery 1; running ones hold a lease for `leaseMs` (default 30 s; negative: expired) as attempt 1.
 */
export async function aRun(
  owner: Pool,
  input: {
    thread?: TestThread;
    accountId?: string;
    status?: RunStatus;
    admitted?: boolean;
    workerId?: string;
    leaseMs?: number;
    attempt?: number;
    model?: string;
    createdBy?: string;
  } = {},
): Promise<TestRun> {
  const thread =
    input.thread ?? (await aThread(owner, input.accountId === undefined ? {} : { accountId: input.accountId }));
  const status = input.status ?? "queued";
  const started = status !== "queued";
  const admitted = started || input.admitted === true;
  const run = await one<{ id: string }>(
    owner,
    `insert into cortex.agent_runs (account_id, project_id, thread_id, agent_id, agent_version_id, created_by, request_id, model, status,
                                    attempt, delivery, admitted_at, worker_id, claimed_at, lease_until, started_at, completed_at, terminal_writes)
       select $1, $2, $3, agents.id, agents.active_version_id, $4, $5, $6, $7::text, $8, $9::int,
         case when $9::int > 0 then now() end, $10::text,
         case when $11 then now() end,
         case when $7::text = 'running' then now() + make_interval(secs => $12::float8 / 1000) end,
         case when $11 then now() end,
         case when $7::text in ('completed', 'failed', 'stopped') then now() end,
         case when $7::text in ('completed', 'failed', 'stopped') then 1 else 0 end
       from cortex.agents where agents.account_id = $1 and agents.is_default
       returning id`,
    [
      thread.accountId,
      thread.projectId,
      thread.threadId,
      input.createdBy ?? null,
      `test-${randomUUID()}`,
      input.model ?? "demo",
      status,
      input.attempt ?? (started ? 1 : 0),
      admitted ? 1 : 0,
      started ? (input.workerId ?? "test-worker") : null,
      started,
      input.leaseMs ?? 30_000,
    ],
  );
  if (status === "queued") {
    await owner.query(
      "insert into cortex.outbox (run_id, account_id, admitted_at) values ($1, $2, case when $3 then now() end)",
      [run.id, thread.accountId, admitted],
    );
  }
  return { ...thread, runId: run.id };
}

/** A worker of the fleet that was heard of just now: admission counts its slots. */
export async function aWorker(
  owner: Pool,
  input: { id?: string; concurrency?: number } = {},
): Promise<{ workerId: string }> {
  const workerId = input.id ?? `worker-${randomUUID().slice(0, 8)}`;
  await owner.query("insert into cortex.workers (id, concurrency) values ($1, $2)", [workerId, input.concurrency ?? 4]);
  return { workerId };
}

/** Credits for an account, as a ledger entry. `usd` is a decimal string. */
export async function aGrant(owner: Pool, input: { accountId: string; usd: string }): Promise<void> {
  await owner.query(
    "insert into cortex.ledger_entries (account_id, kind, amount_usd, idempotency_key) values ($1, 'grant', $2, $3)",
    [input.accountId, input.usd, `test-grant-${randomUUID()}`],
  );
}
