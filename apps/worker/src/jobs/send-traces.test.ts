import { openDatabase } from "@cortex/db";
import { silentLogger } from "@cortex/observability";
import { aRun, aThread, aUser, createTestDatabase } from "@cortex/testing";
import { expect, test } from "vitest";
import { createTraceSender } from "./send-traces.ts";

test("a run whose trace cannot be made holds up none of the others, and is tried again later", async () => {
  const database = await createTestDatabase();
  const log = silentLogger();
  const worker = openDatabase({ url: database.workerUrl, poolSize: 2, name: "test", log });
  try {
    const { owner } = database;
    const { accountId } = await aUser(owner);
    const runs: string[] = [];
    for (const minutes of [3, 2, 1]) {
      const { runId } = await aRun(owner, { ...(await aThread(owner, { accountId })), status: "running" });
      await owner.query("update cortex.agent_runs set status = 'completed' where id = $1", [runId]);
      await owner.query(
        `update cortex.agent_runs set trace_due_at = now() - $2 * interval '1 minute', completed_at = now() - interval '1 hour',
           usage = case when $2 = 3 then '{"unreadable": true}' else usage end
         where id = $1`,
        [runId, minutes],
      );
      runs.push(runId);
    }
    const sent: string[] = [];
    const send = async ({ id }: { id: string }) => void sent.push(id);
    const sender = createTraceSender({
      db: worker.db,
      log,
      targets: [{ name: "otlp", send, close: () => Promise.resolve() }],
    });
    expect(await sender.sendDue()).toBe(3);
    expect(sent).toEqual(runs.slice(1));
    const { rows } = await owner.query("select id from cortex.agent_runs where trace_due_at > now()");
    expect(rows).toEqual([{ id: runs[0] }]);
  } finally {
    await worker.close();
    await database.drop();
  }
});
