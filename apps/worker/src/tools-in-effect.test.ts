import { loadToolCatalogue } from "@cortex/agentpress/catalogue";
import { changeAgent, changeToolSettings, createAgent, createVersion, deleteAgent } from "@cortex/agents";
import { CreateAgent, CreateAgentVersion } from "@cortex/contracts";
import { eventually } from "@cortex/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createWorkplace, type WorkerProcess, type Workplace } from "./testing/worker-fixture.ts";

/* What a run may use is looked up again while it goes on; what it was told to be is not. With a real worker and what the demo model was asked. */

let place: Workplace;
let worker: WorkerProcess;
beforeAll(async () => {
  place = await createWorkplace();
  worker = await place.aWorker();
});
afterAll(() => place.close());

interface Asked {
  messages: { role: string; content: string }[];
  tools?: { function: { name: string; description: string; parameters: unknown } }[];
}

/** What the model was asked for this run, request by request. */
const askedFor = (runId: string) =>
  place.model.requests
    .filter(({ headers, body }) => headers["x-cortex-run-id"] === runId && body !== null)
    .map(({ body }) => {
      const { messages, tools = [] } = body as unknown as Asked;
      return { instructions: messages[0]?.content ?? "", tools: tools.map((tool) => tool.function) };
    });

const anAgent = (instructions: string, version: Partial<CreateAgentVersion> = {}) =>
  place.asUser((tx) =>
    createAgent(tx, {
      accountId: place.user.accountId,
      ...CreateAgent.parse({ name: "Clerk", version: { instructions, ...version } }),
    }),
  );

/**
 * Starts a run and holds it where its first answer is to be stored: the model was asked once, the next step has not begun. `meanwhile` happens
 * then. A run that was quicker than the lock is left to its end, and another one is tried.
 */
const holdAfterFirstRequest = async (prompt: string, agentId: string, meanwhile: () => Promise<unknown>) => {
  const lock = await place.database.owner.connect();
  try {
    for (let tries = 0; tries < 10; tries += 1) {
      const { runId, threadId } = await place.start(prompt, { agentId });
      await lock.query("begin");
      await lock.query("select from cortex.threads where id = $1 for update", [threadId]);
      const { rowCount: steps } = await lock.query("select from cortex.run_steps where run_id = $1", [runId]);
      const held = steps === 0;
      if (held) {
        await eventually(() => askedFor(runId).length === 1);
        await meanwhile();
      }
      await lock.query("commit");
      if (held) return runId;
      await place.ended(runId);
    }
    throw new Error("every run was quicker than the lock");
  } finally {
    lock.release();
  }
};

const resultsOf = async (runId: string) =>
  (await place.events(runId)).flatMap((event) =>
    event.type === "tool_call.completed" ? [{ name: event.name, isError: event.is_error, result: event.result }] : [],
  );

const sums = '[[tool=calculator {"expression":"1+1"}]] [[tool=calculator {"expression":"2+2"}]]';

test("a tool that is disabled while a run is under way is gone at its next step, and another is described anew", async () => {
  const agent = await anAgent("Be brief.");
  const set = (toolName: string, changes: Parameters<typeof changeToolSettings>[1]["changes"]) =>
    place.asUser((tx) =>
      changeToolSettings(tx, { accountId: place.user.accountId, agentId: agent.id, toolName, changes }),
    );
  const runId = await holdAfterFirstRequest(sums, agent.id, async () => {
    await set("calculator", { enabled: false });
    await set("complete", { description: "Says that all is done." });
  });
  expect(await place.ended(runId)).toMatchObject({ status: "completed" });
  const [first, second] = askedFor(runId);
  const names = first?.tools.map(({ name }) => name) ?? [];
  expect(names).toContain("calculator");
  expect(second?.tools.map(({ name }) => name)).toEqual(names.filter((name) => name !== "calculator"));
  const wordings = [first, second].map((asked) => asked?.tools.find(({ name }) => name === "complete")?.description);
  expect(wordings).toEqual([expect.not.stringContaining("Says that all is done."), "Says that all is done."]);
  expect(await resultsOf(runId)).toEqual([
    { name: "calculator", isError: false, result: "2" },
    {
      name: "calculator",
      isError: true,
      result: "The tool calculator is disabled by the settings of this agent. The call was not run; go on without it.",
    },
  ]);
});

test("the model gets each tool exactly as the API shows it", async () => {
  const { runId } = await place.start("Hello");
  await place.ended(runId);
  const shown = (await loadToolCatalogue()).map(({ name, description, parameters }) => ({
    name,
    description,
    parameters,
  }));
  expect(askedFor(runId)[0]?.tools).toEqual(shown);
});

test("a version that becomes active while a run is under way changes nothing for it; nor does it that its agent is deleted", async () => {
  const agent = await anAgent("Be brief.");
  const runId = await holdAfterFirstRequest(sums, agent.id, () =>
    place.asUser(async (tx) => {
      const version = CreateAgentVersion.parse({ instructions: "Be thorough.", tools: [] });
      await createVersion(tx, { agentId: agent.id, ...version });
    }),
  );
  expect(await place.ended(runId)).toMatchObject({ status: "completed" });
  const asked = askedFor(runId);
  expect(asked.map(({ instructions }) => instructions)).toEqual(asked.map(() => "Be brief."));
  expect(asked.map(({ tools }) => tools)).toEqual(asked.map(() => asked[0]?.tools));
  expect(asked.length).toBe(3);

  const { runId: next } = await place.start("Hello", { agentId: agent.id });
  await place.ended(next);
  expect(askedFor(next)).toMatchObject([{ instructions: "Be thorough.", tools: [] }]);
  await place.asUser((tx) => changeAgent(tx, { agentId: agent.id, changes: { active_version: 1 } }));
  const { runId: last } = await place.start("Hello", { agentId: agent.id });
  await place.ended(last);
  expect(askedFor(last)[0]?.instructions).toBe("Be brief.");

  const orphan = await holdAfterFirstRequest(sums, agent.id, () =>
    place.asUser((tx) => deleteAgent(tx, { agentId: agent.id })),
  );
  expect(await place.ended(orphan)).toMatchObject({ status: "completed" });
  expect(askedFor(orphan)).toHaveLength(3);
  await expect(place.start("Hello", { agentId: agent.id })).rejects.toMatchObject({ code: "not_found" });
});

test("a run whose agent names a tool that there is no longer starts without it and says so", async () => {
  const agent = await anAgent("Be brief.", { tools: ["calculator", "telegraph"] });
  const { runId } = await place.start('[[tool=telegraph {"text":"stop"}]]', { agentId: agent.id });
  expect(await place.ended(runId)).toMatchObject({ status: "completed" });
  expect(askedFor(runId)[0]?.tools.map(({ name }) => name)).toEqual(["calculator"]);
  expect(await resultsOf(runId)).toMatchObject([
    { name: "telegraph", isError: true, result: expect.stringContaining("does not exist here any more") as unknown },
  ]);
  const said = worker
    .output()
    .split("\n")
    .filter((line) => line.includes(runId) && line.includes("tools that there are no longer"));
  expect(said).toHaveLength(1);
});
