import { once } from "node:events";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { noUsage } from "@cortex/contracts";
import { silentLogger } from "@cortex/observability";
import { eventually } from "@cortex/testing";
import { expect, onTestFinished, test } from "vitest";
import { unitsToUsd } from "../money.ts";
import { costOf, createCatalogue, type KnownModel, priceAt } from "./catalogue.ts";
import { openLiveCatalogue } from "./live-catalogue.ts";
import { readDeployments, withProxyModels } from "./proxy-models.ts";

const filed: KnownModel = {
  name: "filed",
  aliases: ["filed-1"],
  context_window: 200_000,
  max_output_tokens: 64_000,
  abilities: { images: true, reasoning: true, tools: "native", prompt_cache: "explicit" },
  prices: [{ valid_from: "2025-01-01", input: "3", output: "15" }],
};
const file = createCatalogue([filed]);
const now = new Date("2026-11-21T12:00:00Z");

const merged = (...data: unknown[]) => withProxyModels(file, readDeployments({ data }), now);

const deployment = (name: string, info: Record<string, unknown> | null, model = `openai/${name}`) => ({
  model_name: name,
  litellm_params: { model },
  model_info: info,
});

test("a stranger gets what the proxy says: window, limit, prices and abilities", () => {
  const info = {
    id: "1",
    mode: "chat",
    litellm_provider: "anthropic",
    max_input_tokens: 500_000,
    max_output_tokens: 32_000,
    input_cost_per_token: 1.25e-6,
    cache_read_input_token_cost: 1.25e-7,
    cache_creation_input_token_cost: "1.5e-6",
    output_cost_per_token: 1e-5,
    output_cost_per_reasoning_token: 1.2e-5,
    input_cost_per_token_above_200k_tokens: 2.5e-6,
    output_cost_per_token_above_200k_tokens: 1.5e-5,
    supports_vision: true,
    supports_reasoning: null,
    supports_function_calling: false,
    supports_prompt_caching: true,
  };
  expect(merged(deployment("new", info)).find("new")).toEqual({
    name: "new",
    aliases: [],
    context_window: 500_000,
    max_output_tokens: 32_000,
    abilities: { images: true, reasoning: false, tools: "xml", prompt_cache: "explicit" },
    prices: [
      {
        valid_from: "2026-11-21",
        input: "1.25",
        cached_input: "0.125",
        cache_write: "1.5",
        output: "10",
        reasoning: "12",
        long_prompt: { above_tokens: 200_000, input: "2.5", output: "15" },
      },
    ],
  });
});

test("of a model that the file knows the file's facts count and the proxy's price, under the operator's own name as well", () => {
  const price = { input_cost_per_token: 1e-6, output_cost_per_token: 2e-6 };
  const catalogue = merged(deployment("filed", price), deployment("ours", price, "anthropic/filed-1"));
  for (const name of ["filed", "ours"]) {
    expect(catalogue.find(name)).toMatchObject({ name, context_window: 200_000, abilities: filed.abilities });
    expect(priceAt(catalogue.find(name), now)).toEqual({ valid_from: "2026-11-21", input: "1", output: "2" });
  }
  // The proxy says 0 where it knows no price.
  const unpriced = merged(deployment("filed", { input_cost_per_token: 0, output_cost_per_token: 0 }));
  expect(unpriced.find("filed")?.prices).toEqual(filed.prices);
  expect(merged().find("filed")).toEqual(filed);
});

test("behind one name any deployment may answer: what all can do, for what the dearest costs", () => {
  const small = {
    max_input_tokens: 8_000,
    supports_vision: false,
    input_cost_per_token: 1e-6,
    output_cost_per_token: 1e-6,
  };
  const dear = {
    max_input_tokens: 9_000,
    supports_vision: true,
    input_cost_per_token: 5e-6,
    output_cost_per_token: 9e-6,
  };
  for (const pair of [
    [small, dear],
    [dear, small],
  ]) {
    const model = merged(...pair.map((info) => deployment("pool", info))).find("pool");
    expect(model).toMatchObject({ context_window: 8_000, abilities: { images: false } });
    expect(model?.prices[0]).toMatchObject({ input: "5", output: "9" });
  }
});

test("what is no model, or says nonsense, is left out; the rest stays", () => {
  const catalogue = merged(
    deployment("embedder", { mode: "embedding", max_input_tokens: 8_000 }),
    deployment("openai/*", { max_input_tokens: 8_000 }),
    deployment("silent", null),
    deployment("nothing", {}),
    null,
    7,
    "model",
    { model_name: "" },
    { model_name: "x".repeat(10_000), model_info: { max_input_tokens: 1 } },
    deployment("odd", {
      max_input_tokens: -1,
      max_output_tokens: "many",
      supports_vision: "yes",
      input_cost_per_token: 1e-6,
      output_cost_per_token: 3e-6,
      cache_read_input_token_cost: -1,
      output_cost_per_reasoning_token: Number.MAX_VALUE,
    }),
    deployment("free", { max_input_tokens: 10, input_cost_per_token: "NaN", output_cost_per_token: [] }),
  );
  expect(catalogue.models.map((model) => model.name)).toEqual(["odd", "free", "filed"]);
  expect(catalogue.find("odd")).toMatchObject({
    context_window: null,
    max_output_tokens: null,
    prices: [{ valid_from: "2026-11-21", input: "1", output: "3" }],
  });
  expect(catalogue.find("free")?.prices).toEqual([]);
});

test("a long prompt costs every token of its call more", () => {
  const price = {
    valid_from: "2025-01-01",
    input: "1",
    output: "10",
    long_prompt: { above_tokens: 1_000, input: "2", cached_input: "0.5", output: "15" },
  };
  const cost = (input_tokens: number) =>
    unitsToUsd(costOf({ ...noUsage, input_tokens, cached_input_tokens: 500, output_tokens: 10 }, price));
  expect(cost(1_000)).toBe("0.0011");
  // 501 × 2 + 500 × 0.5 + 10 × 15
  expect(cost(1_001)).toBe("0.001402");
});

/** An endpoint that answers like this, and the catalogue that asks it. */
const live = async (answer: (response: ServerResponse, request: { url?: string; key?: string }) => void) => {
  const asked: { url?: string; key?: string }[] = [];
  const server = createServer((request, response) => {
    const seen = { url: request.url ?? "", key: request.headers.authorization ?? "" };
    asked.push(seen);
    answer(response, seen);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const catalogue = openLiveCatalogue(
    { log: silentLogger() },
    { baseURL: `http://127.0.0.1:${port}/v1`, apiKey: "sk-catalogue", everyMs: 600_000, file },
  );
  onTestFinished(() => {
    catalogue.close();
    server.closeAllConnections();
    server.close();
  });
  return { catalogue, asked };
};

const answersJson = (data: unknown[]) => JSON.stringify({ data });
const served = deployment("served", { max_input_tokens: 1_000 });

test("it is asked in the background, with the key; until it has answered the file's word counts", async () => {
  const held: ServerResponse[] = [];
  const { catalogue, asked } = await live((response) => held.push(response));
  await eventually(() => expect(asked).toEqual([{ url: "/v1/model/info", key: "Bearer sk-catalogue" }]));
  expect(catalogue.current()).toBe(file);
  for (const response of held) response.end(answersJson([served]));
  await eventually(() => expect(catalogue.current().find("served")?.context_window).toBe(1_000));
});

test("whatever the endpoint does, what is known stays", async () => {
  const faults: ((response: ServerResponse) => void)[] = [
    (response) => response.writeHead(404).end("not here"),
    (response) => response.writeHead(401).end("{}"),
    (response) => response.writeHead(500).end(),
    (response) => response.end("<html>hello</html>"),
    (response) => response.end('{"data": "no list"}'),
    (response) => response.end("null"),
    (response) => response.writeHead(302, { location: "/v1/elsewhere" }).end(),
    (response) => response.socket?.destroy(),
    (response) => {
      response.writeHead(200, { "content-length": "100" });
      response.write("{", () => response.socket?.destroy());
    },
    (response) => response.end(Buffer.alloc(17 * 1024 * 1024, " ")),
  ];
  let fault: ((response: ServerResponse) => void) | null = null;
  const { catalogue, asked } = await live((response) =>
    fault ? fault(response) : response.end(answersJson([served])),
  );
  await eventually(() => expect(catalogue.current().find("served")).not.toBeNull());
  const known = catalogue.current();
  for (fault of faults) await catalogue.refresh();
  expect(catalogue.current()).toBe(known);
  expect(asked.map(({ url }) => url)).not.toContain("/v1/elsewhere");
  fault = null;
  await catalogue.refresh();
  expect(catalogue.current()).not.toBe(known);
});

test("closing it ends a request that hangs", async () => {
  const { catalogue, asked } = await live(() => undefined);
  const refreshed = catalogue.refresh();
  await eventually(() => expect(asked.length).toBeGreaterThan(0));
  catalogue.close();
  await refreshed;
  expect(catalogue.current()).toBe(file);
});
