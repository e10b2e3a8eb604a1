/*
 * What each role may do with the rows of each table: the wall of migrations, in one table, for the test that measures it.
 */

export type Command = "select" | "insert" | "update" | "delete";
export type RoleName = "cortex_api" | "cortex_worker";

export interface Access {
  api: readonly Command[];
  worker: readonly Command[];
  /**
   * tenant: rows of an account, for those who act for it. fleet: the same for the API, but a worker reaches the rows of every account.
   * house: rows of nobody in particular.
   */
  scope: "tenant" | "fleet" | "house";
  /** Viewers do not even read it. */
  membersOnly?: true;
}

/** Every table of the schema. A new one fails the test until it stands here with its row-level security and its grants. */
export const tables: Readonly<Record<string, Access>> = {
  settings: { scope: "house", api: [], worker: [] },
  plans: { scope: "house", api: ["select"], worker: ["select"] },
  workers: { scope: "house", api: [], worker: ["select", "insert", "update", "delete"] },
  accounts: { scope: "tenant", api: ["select", "update"], worker: ["select"] },
  account_members: { scope: "tenant", api: ["select"], worker: [] },
  account_balances: { scope: "tenant", api: ["select"], worker: ["select"] },
  ledger_entries: { scope: "tenant", api: ["select", "insert"], worker: ["select", "insert"] },
  idempotency_keys: {
    scope: "tenant",
    api: ["select", "insert", "update", "delete"],
    worker: [],
    membersOnly: true,
  },
  agents: { scope: "tenant", api: ["select", "insert", "update"], worker: ["select"] },
  agent_versions: { scope: "tenant", api: ["select", "insert"], worker: ["select"] },
  tool_settings: { scope: "tenant", api: ["select", "insert", "update", "delete"], worker: ["select"] },
  mcp_servers: { scope: "tenant", api: ["select", "insert", "update", "delete"], worker: ["select"] },
  projects: { scope: "tenant", api: ["select", "insert", "update"], worker: ["select"] },
  threads: { scope: "tenant", api: ["select", "insert", "update", "delete"], worker: ["select", "update"] },
  messages: { scope: "tenant", api: ["select", "insert"], worker: ["select", "insert"] },
  sandboxes: { scope: "tenant", api: ["select", "insert", "update"], worker: ["select", "insert", "update"] },
  run_steps: { scope: "tenant", api: ["select"], worker: ["select", "insert", "update"] },
  tool_calls: { scope: "tenant", api: ["select"], worker: ["select", "insert", "update"] },
  tool_approvals: { scope: "tenant", api: ["select"], worker: ["select", "insert"] },
  run_waits: { scope: "tenant", api: ["select"], worker: ["select", "insert"] },
  exposed_ports: { scope: "tenant", api: ["select"], worker: ["select", "insert", "update", "delete"] },
  context_summaries: { scope: "tenant", api: ["select"], worker: ["select", "insert"] },
  agent_runs: { scope: "fleet", api: ["select", "insert", "update", "delete"], worker: ["select", "update"] },
  outbox: { scope: "fleet", api: ["select", "insert", "delete"], worker: ["select", "update", "delete"] },
};
export const accountColumn = (table: string) => (table === "accounts" ? "id" : "account_id");
