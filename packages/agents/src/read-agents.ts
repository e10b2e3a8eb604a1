import { type Agent, AppError, type ListQuery, type Page } from "@cortex/contracts";
import { type DB, isAfter, parseListPlace, placeOf, toPage, type Tx } from "@cortex/db";
import { type RawBuilder, type Selectable, sql } from "kysely";
import { toAgent, type VersionRow } from "./agent-view.ts";

/** The times of a version come as text out of JSON. */
type AgentRow = Selectable<DB["agents"]> & {
  place: string;
  active: (Omit<VersionRow, "created_at"> & { created_at: string }) | null;
};

const toWire = (row: AgentRow): Agent =>
  toAgent(row, row.active && { ...row.active, created_at: new Date(row.active.created_at) });

const selectAgents = (condition: RawBuilder<boolean>, limit: number) => sql<AgentRow>`
  select agents.*, ${placeOf("agents")} as place, to_jsonb(active) as active
  from cortex.agents left join cortex.agent_versions active on active.id = agents.active_version_id
  where ${condition}
  order by agents.created_at desc, agents.id desc
  limit ${limit}`;

/** Null: there is no such agent for this caller. */
export const getAgent = async (tx: Tx, input: { agentId: string }): Promise<Agent | null> => {
  const result = await selectAgents(
    sql<boolean>`agents.id = ${input.agentId} and agents.deleted_at is null`,
    1,
  ).execute(tx);
  const [row] = result.rows;
  return row ? toWire(row) : null;
};

/** The agents of an account, newest first. Error: `invalid_cursor`. */
export const listAgents = async (tx: Tx, input: { accountId: string } & ListQuery): Promise<Page<Agent>> => {
  const { accountId, limit, cursor } = input;
  const place = cursor === undefined ? null : parseListPlace(cursor);
  if (place === null && cursor !== undefined) throw new AppError("invalid_cursor", "The cursor is not one of ours.");
  const ofAccount = sql<boolean>`
    agents.account_id = ${accountId} and agents.deleted_at is null and ${isAfter("agents", place)}`;
  const result = await selectAgents(ofAccount, limit + 1).execute(tx);
  return toPage(result.rows, limit, toWire);
};
