import { randomUUID } from "node:crypto";
import { createSafeFetch } from "@cortex/egress";
import { silentLogger } from "@cortex/observability";
import { createTestFolder, createTestSandboxes } from "@cortex/testing";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import type { AgentDeps } from "./agent.ts";
import { discoverTools } from "./discover-tools.ts";
import type { AgentEvent } from "./events.ts";
import { startHost, type Host } from "./testing/hostile/host.ts";
import { openTools } from "./testing/hostile/open-tools.ts";
import { type Attack, pathAttacks } from "./testing/hostile/path-attacks.ts";
import { shellAttacks } from "./testing/hostile/shell-attacks.ts";
import { openFetch, webAttacks } from "./testing/hostile/web-attacks.ts";
import { anInput, ofType, play } from "./testing/run.ts";
import { calls, says, scriptedModel } from "./testing/scripted-model.ts";
import { openWeb } from "./web/open-web.ts";

/*
 * A model that only ever tries what it must not do, by the engine, with all tools and a real sandbox of this machine. Nothing here depends on its
 * manners. Every attack is also played without the walls, where it has to do its harm: one that would do none proves nothing.
 */

let host: Host;
const noPage = async (): Promise<never> => {
  throw new Error("nothing but pictures here");
};
type World = Omit<AgentDeps, "model">;
let walled: World;
let open: World;

beforeAll(async () => {
  host = await startHost(createTestFolder());
  // What starts sandboxes has it in its own environment.
  vi.stubEnv("CANARY", host.canary);
  const provider = await createTestSandboxes();
  const ref = await provider.create({ id: randomUUID(), labels: {} });
  const sandbox = provider.open(ref);
  const tools = await discoverTools();
  const log = silentLogger();
  walled = {
    tools,
    openSandbox: async () => sandbox,
    web: openWeb({ fetch: createSafeFetch({ log }), search: null }),
    openBrowser: async () => ({
      screenshot: async () => ({
        url: "",
        title: "",
        bytes: Buffer.from("a picture"),
        mediaType: "image/png",
        notes: [],
      }),
      navigate: noPage,
      act: noPage,
      extract: noPage,
    }),
  };
  open = {
    tools: [...openTools(host), ...tools.filter(({ name }) => name === "fetch_page")],
    web: openWeb({ fetch: openFetch(host), search: null }),
  };
});
afterAll(async () => {
  vi.unstubAllEnvs();
  await host.close();
});

/** Does what the model or the user gets hold the canary? Looked for as text and in the pictures. */
const leaks = (events: readonly AgentEvent[]): boolean => {
  const said = JSON.stringify(events);
  return said.includes(host.canary) || said.includes(Buffer.from(host.canary).toString("base64").slice(0, -4));
};

/** What the attack has done. The last call is the attack itself, the ones before it prepare it. */
const harmOf = async (world: World, { turns }: Attack): Promise<{ harm: string[]; accepted: boolean }> => {
  const model = scriptedModel(...turns.map((turn) => calls(...turn)), says("done"));
  const { events } = await play({ ...world, model }, anInput());
  const last = ofType(events, "tool_call.completed").at(-1);
  const harm = [...host.harm(), ...(leaks(events) ? ["the canary was told"] : [])];
  if (harm.length > 0) await host.restore();
  return { harm, accepted: last?.is_error === false };
};

/** The attacks that do harm, those that do none without walls either, and those that were answered as if they were fine. */
const playAll = async (attacks: readonly Attack[]) => {
  const succeeded: unknown[] = [];
  const harmless: string[] = [];
  const accepted: string[] = [];
  for (const attack of attacks) {
    const behind = await harmOf(walled, attack);
    if (behind.harm.length > 0) succeeded.push([attack.name, behind.harm]);
    if (behind.accepted && !attack.mayBeAccepted) accepted.push(attack.name);
    await host.restore();
    if ((await harmOf(open, attack)).harm.length === 0) harmless.push(attack.name);
    await host.restore();
  }
  return { succeeded, harmless, accepted };
};

test("no path leads out of the workspace, in whatever argument and however it is written", async () => {
  const attacks = pathAttacks(host);
  expect(attacks.length).toBeGreaterThan(350);
  expect(await playAll(attacks)).toEqual({ succeeded: [], harmless: [], accepted: [] });
});

test("no command sees, changes, ends or reaches anything of the host", async () => {
  const { succeeded, harmless } = await playAll(shellAttacks(host));
  expect({ succeeded, harmless }).toEqual({ succeeded: [], harmless: [] });
});

test("no address leads inside", async () => {
  expect(await playAll(webAttacks(host))).toEqual({ succeeded: [], harmless: [], accepted: [] });
});
