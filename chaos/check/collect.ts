import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Redis } from "ioredis";
import type { Fleet } from "../fleet/fleet.ts";
import { tracesFolder } from "../load/run-script.ts";
import type { History, LogRecord } from "./history.ts";

type Rows = Pick<History, "runs" | "messages" | "steps" | "toolCalls" | "ledger" | "balances">;

/** Milliseconds of the database's clock. */
const ms = (column: string): string => `(extract(epoch from ${column}) * 1000)::float8 as ${column}`;

/** The first oracle: everything that Postgres holds. */
const collectRows = async ({ ask }: Fleet): Promise<Rows> => {
  const [runs, messages, steps, toolCalls, ledger, balances] = await Promise.all([
    ask<
      Rows["runs"][number]
    >(`select id, thread_id, account_id, status, attempt, terminal_writes, log_epoch, ${ms("stop_requested_at")},
      ${ms("completed_at")}, stop_receipt is not null as has_receipt, error->>'code' as error_code, cost_usd::text from cortex.agent_runs`),
    ask<Rows["messages"][number]>(`select id, thread_id, run_id, step, seq, role, status, tool_call_id,
      coalesce((select string_agg(part->>'text', '' order by place) from jsonb_array_elements(content) with ordinality as parts (part, place)
        where part->>'type' = 'text'), '') as text,
      coalesce((select jsonb_agg(call->>'id') from jsonb_array_elements(tool_calls) call), '[]') as calls from cortex.messages`),
    ask<Rows["steps"][number]>(
      `select run_id, step, attempt, cost_usd::text, ${ms("started_at")} from cortex.run_steps`,
    ),
    ask<
      Rows["toolCalls"][number]
    >(`select run_id, call_id, step, name, arguments::text, effect, state, c.attempt, ${ms("started_at")},
      a.call_id is not null as asked, decision
      from cortex.tool_calls c left join cortex.tool_approvals a using (run_id, call_id) order by run_id, step, position`),
    ask<Rows["ledger"][number]>(
      "select account_id, run_id, kind, amount_usd::text, idempotency_key as key from cortex.ledger_entries order by id",
    ),
    ask<Rows["balances"][number]>("select account_id, balance_usd::text from cortex.account_balances"),
  ]);
  return { runs, messages, steps, toolCalls, ledger, balances };
};

/** The logs as they lie in Redis, whose keys are part of the contract. */
const collectLogs = async (fleet: Fleet, runIds: readonly string[]): Promise<LogRecord[]> => {
  const redis = new Redis(fleet.redis.url);
  try {
    const logs = runIds.map(async (runId): Promise<LogRecord | null> => {
      const [entries, meta] = await Promise.all([
        redis.lrange(`agent_run:{${runId}}:responses`, 0, -1),
        redis.hgetall(`agent_run:{${runId}}:meta`),
      ]);
      if (entries.length === 0) return null;
      return { run_id: runId, epoch: Number(meta["epoch"]), closed: meta["closed"] === "1", entries };
    });
    return (await Promise.all(logs)).filter((log) => log !== null);
  } finally {
    redis.disconnect();
  }
};

/** The third oracle: what commands left in the workspaces, lines by file. */
const collectEffects = (fleet: Fleet): Record<string, number> => {
  const effects: Record<string, number> = {};
  const home = join(fleet.sandboxes, "sandboxes");
  if (!existsSync(home)) return effects;
  for (const sandbox of readdirSync(home)) {
    const folder = join(home, sandbox, "workspace", tracesFolder);
    if (!existsSync(folder)) continue;
    for (const file of readdirSync(folder)) {
      const lines = readFileSync(join(folder, file), "utf8").split("\n").length - 1;
      effects[file] = (effects[file] ?? 0) + lines;
    }
  }
  return effects;
};

/** What all three oracles say about the whole fleet; the logs are those of these runs. */
export const collectRemains = async (
  fleet: Fleet,
  runIds: readonly string[],
): Promise<Rows & Pick<History, "effects" | "logs">> => ({
  ...(await collectRows(fleet)),
  effects: collectEffects(fleet),
  logs: await collectLogs(fleet, runIds),
});
