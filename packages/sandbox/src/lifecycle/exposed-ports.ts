import type { Db, Tx } from "@cortex/db";
import { asAccount } from "@cortex/db";
import { sql } from "kysely";

/**
 * The rows of `cortex.exposed_ports`: which worker shows which port of a sandbox to people. The worker that exposed it last is the one; a row counts as long as
 * its worker is heard of.
 */
export interface ExposedPort {
  sandboxId: string;
  port: number;
}

/** A worker shows this port from now on. False: the account has no such sandbox. */
export const exposePort = (
  db: Db,
  input: ExposedPort & { accountId: string; workerId: string; address: string },
): Promise<boolean> =>
  asAccount(db, { accountId: input.accountId }, async (tx) => {
    const result = await sql`
      insert into cortex.exposed_ports (sandbox_id, port, account_id, worker_id, address)
      select id, ${input.port}, account_id, ${input.workerId}, ${input.address} from cortex.sandboxes
      where id = ${input.sandboxId} and account_id = ${input.accountId} and state <> 'deleted'
      on conflict (sandbox_id, port) do update set
        worker_id = excluded.worker_id, address = excluded.address, exposed_at = clock_timestamp()`.execute(tx);
    return (result.numAffectedRows ?? 0n) > 0n;
  });

/** A worker shows these ports no more. What another one has exposed meanwhile stays. */
export const withdrawPorts = (
  db: Db,
  input: { accountId: string; sandboxId: string; ports: readonly number[]; workerId: string },
): Promise<void> =>
  asAccount(db, { accountId: input.accountId }, async (tx) => {
    await tx
      .deleteFrom("exposed_ports")
      .where("sandbox_id", "=", input.sandboxId)
      .where("port", "in", input.ports)
      .where("worker_id", "=", input.workerId)
      .execute();
  });

/** Who shows this port at the moment. For whoever came with a signed link; says nothing about whose sandbox it is. */
export const findPortHolder = async (
  db: Db | Tx,
  { sandboxId, port }: ExposedPort,
): Promise<{ workerId: string; address: string } | null> => {
  const { rows } = await sql<{ worker_id: string; address: string }>`
    select worker_id, address from cortex.find_exposed_port(${sandboxId}::uuid, ${port}::int)`.execute(db);
  return rows[0] ? { workerId: rows[0].worker_id, address: rows[0].address } : null;
};

/** Is this port shown? Null: the caller sees no such sandbox. */
export const isPortShown = async (tx: Tx, asked: ExposedPort): Promise<boolean | null> => {
  const sandbox = await tx
    .selectFrom("sandboxes")
    .innerJoin("projects", "projects.id", "sandboxes.project_id")
    .select("sandboxes.id")
    .where("sandboxes.id", "=", asked.sandboxId)
    .where("sandboxes.state", "<>", sql.lit("deleted"))
    .where("projects.deleted_at", "is", null)
    .executeTakeFirst();
  return sandbox === undefined ? null : (await findPortHolder(tx, asked)) !== null;
};
