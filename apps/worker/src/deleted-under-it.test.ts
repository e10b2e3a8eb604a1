import { eventually } from "@cortex/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createWorkplace, type WorkerProcess, type Workplace } from "./testing/worker-fixture.ts";

/*
 * The API refuses to delete a run that is active. An administrator with SQL does not.
 */

let place: Workplace;
let worker: WorkerProcess;
beforeAll(async () => {
  place = await createWorkplace();
  worker = await place.aWorker();
});
afterAll(() => place.close());

const linesOf = (runId: string) =>
  worker
    .output()
    .split("\n")
    .filter((line) => line.includes(runId) && !line.includes('"sandbox made"'));

test.for([
  ["agent_runs", "[[tokens=400]] [[delay=20]]"],
  ["threads", "[[tokens=400]] [[delay=20]]"],
  ["projects", '[[tool=execute_command {"command":"echo begun; sleep 30"}]]'],
  ["accounts", "[[tokens=400]] [[delay=20]]"],
] as const)(
  "%s deleted under a run: its worker lets go with one line and takes the next run",
  async ([table, prompt]) => {
    const { runId } = await place.start(prompt);
    await eventually(
      async () =>
        (await place.events(runId)).some(({ type }) => type === "message.delta" || type === "tool_call.output"),
      { timeoutMs: 15_000 },
    );
    const column = { agent_runs: "id", threads: "thread_id", projects: "project_id", accounts: "account_id" }[table];
    await place.database.owner.query(
      `delete from cortex.${table} where id = (select ${column} from cortex.agent_runs where id = $1)`,
      [runId],
    );
    await eventually(() => linesOf(runId).some((line) => line.includes("let go") || line.includes("attempt over")), {
      timeoutMs: 15_000,
    });
    const loud = linesOf(runId).filter((line) => /"level":(40|50|60)/.test(line));
    expect(loud).toHaveLength(1);
    expect(loud[0]).toContain("let go");
    if (table === "accounts") return;
    const next = await place.start("hello");
    expect(await place.ended(next.runId, 15_000)).toMatchObject({ status: "completed" });
  },
);
