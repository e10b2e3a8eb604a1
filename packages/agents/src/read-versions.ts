import { type AgentVersion, AppError, type ListQuery, type Page } from "@cortex/contracts";
import type { Tx } from "@cortex/db";
import { toVersion } from "./agent-view.ts";

/** The versions of an agent with these numbers, by number; fewer if there are not all. Null: there is no such agent for this caller. */
export const getVersions = async (
  tx: Tx,
  input: { agentId: string; versions: readonly number[] },
): Promise<AgentVersion[] | null> => {
  if (!(await isThere(tx, input))) return null;
  const rows = await tx
    .selectFrom("agent_versions")
    .selectAll()
    .where("agent_id", "=", input.agentId)
    .where("version", "in", input.versions)
    .orderBy("version")
    .execute();
  return rows.map(toVersion);
};

/** The versions of an agent, newest first. Null: there is no such agent for this caller. Error: `invalid_cursor`. */
export const listVersions = async (
  tx: Tx,
  input: { agentId: string } & ListQuery,
): Promise<Page<AgentVersion> | null> => {
  const below = input.cursor === undefined ? null : versionIn(input.cursor);
  if (!(await isThere(tx, input))) return null;
  const rows = await tx
    .selectFrom("agent_versions")
    .selectAll()
    .where("agent_id", "=", input.agentId)
    .$if(below !== null, (query) => query.where("version", "<", below))
    .orderBy("version", "desc")
    .limit(input.limit + 1)
    .execute();
  const shown = rows.slice(0, input.limit);
  const last = rows.length > input.limit ? shown.at(-1) : undefined;
  return { data: shown.map(toVersion), next_cursor: last === undefined ? null : cursorAt(last.version) };
};

const isThere = async (tx: Tx, input: { agentId: string }): Promise<boolean> =>
  (await tx
    .selectFrom("agents")
    .select("id")
    .where("id", "=", input.agentId)
    .where("deleted_at", "is", null)
    .executeTakeFirst()) !== undefined;

const cursorAt = (version: number): string => Buffer.from(`v${version}`).toString("base64url");

const versionIn = (cursor: string): number => {
  const [, version] = /^v(\d{1,9})$/.exec(Buffer.from(cursor, "base64url").toString()) ?? [];
  if (version === undefined) throw new AppError("invalid_cursor", "The cursor is not one of ours.");
  return Number(version);
};
