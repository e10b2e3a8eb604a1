import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { noUsage } from "@cortex/contracts";
import { expect, onTestFinished, test } from "vitest";
import { costOf, fileCatalogue, loadToolCatalogue, priceAt } from "./catalogue.ts";
import { discoverTools } from "./discover-tools.ts";
import { unitsToUsd, usdToUnits } from "./money.ts";

test("every file in tools/ is a tool, in a stable order, with its effect", async () => {
  const files = (await readdir(join(import.meta.dirname, "tools"))).filter((file) => !file.endsWith(".test.ts"));
  const tools = await loadToolCatalogue();
  expect(tools).toHaveLength(files.length);
  expect(tools.map((tool) => [tool.name, tool.effect])).toEqual([
    ["ask", "pure"],
    ["browser_act", "once"],
    ["browser_extract", "pure"],
    ["browser_navigate", "idempotent"],
    ["browser_screenshot", "idempotent"],
    ["calculator", "pure"],
    ["check_json", "pure"],
    ["check_process", "idempotent"],
    ["compare_texts", "pure"],
    ["complete", "pure"],
    ["count_text", "pure"],
    ["create_archive", "idempotent"],
    ["create_file", "idempotent"],
    ["dates", "pure"],
    ["delete_file", "once"],
    ["edit_file", "once"],
    ["execute_command", "once"],
    ["expand_message", "pure"],
    ["expose_port", "idempotent"],
    ["extract_archive", "once"],
    ["fetch_page", "pure"],
    ["kill_process", "idempotent"],
    ["list_archive", "pure"],
    ["list_files", "pure"],
    ["list_processes", "pure"],
    ["make_folder", "idempotent"],
    ["match_text", "pure"],
    ["move_file", "once"],
    ["query_csv", "pure"],
    ["query_json", "pure"],
    ["read_file", "pure"],
    ["search_files", "pure"],
    ["start_process", "once"],
    ["task_list", "pure"],
    ["view_image", "pure"],
    ["web_search", "pure"],
  ]);
  for (const tool of tools) {
    expect(tool).toMatchObject({ parameters: { type: "object", additionalProperties: false } });
    expect(tool.parameters).not.toHaveProperty("$schema");
    expect(tool.description.length).toBeGreaterThan(30);
    expect(tool).not.toHaveProperty("call");
  }
  expect(tools.find(({ name }) => name === "calculator")?.parameters).toMatchObject({
    properties: { expression: { type: "string" } },
    required: ["expression"],
  });
});

/** The folder of a test with these files in it. */
const folderWith = async (files: Record<string, string>): Promise<URL> => {
  const folder = await mkdtemp(join(tmpdir(), "cortex-tools-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text);
  return pathToFileURL(`${folder}/`);
};

const toolFile = (name: string) => `
  import { z } from ${JSON.stringify(import.meta.resolve("zod"))};
  import { defineTool } from ${JSON.stringify(import.meta.resolve("./tool.ts"))};
  export const tool = defineTool({
    name: "${name}", title: "T", description: "d", effect: "pure", schema: z.strictObject({}),
    timeoutMs: 1, maxResultChars: 1, execute: async () => "",
  });`;

test("a file that is dropped into the folder is found; a mistake there stops the boot", async () => {
  const found = await discoverTools(
    await folderWith({ "b.ts": toolFile("b"), "a.ts": toolFile("z"), "a.test.ts": "boom", "x.md": "" }),
  );
  expect(found.map((tool) => tool.name)).toEqual(["b", "z"]);
  await expect(discoverTools(await folderWith({ "a.ts": "export const tool = 1;" }))).rejects.toThrow(
    /exports no `tool`/,
  );
  await expect(discoverTools(await folderWith({ "a.ts": toolFile("same"), "b.ts": toolFile("same") }))).rejects.toThrow(
    /same name/,
  );
  await expect(discoverTools(await folderWith({ "a.ts": toolFile("No Name") }))).rejects.toThrow(/no name for a tool/);
});

/** All files that loading this one loads, types left out. */
const loadedBy = async (file: string, seen = new Set<string>()): Promise<Set<string>> => {
  if (seen.has(file)) return seen;
  seen.add(file);
  const source = await readFile(file, "utf8");
  for (const [, clause = "", from = ""] of source.matchAll(/^(?:import|export)\s+([^;]*?)\s*from\s+"([^"]+)"/gm)) {
    if (clause.startsWith("type ")) continue;
    if (from.startsWith(".")) await loadedBy(resolve(dirname(file), from), seen);
    else seen.add(from);
  }
  return seen;
};

test("the catalogue loads neither the loop nor a model adapter", async () => {
  const here = import.meta.dirname;
  const loaded = await loadedBy(join(here, "catalogue.ts"));
  const tools = (await readdir(join(here, "tools"))).filter((file) => !file.endsWith(".test.ts"));
  for (const file of tools) await loadedBy(join(here, "tools", file), loaded);
  const names = [...loaded].map((name) => name.replace(`${here}/`, ""));
  expect(names).toContain("arithmetic/expression.ts");
  for (const forbidden of [
    "openai",
    "undici",
    "run-agent.ts",
    "step.ts",
    "ask-model.ts",
    "tool-calls.ts",
    "models/openai.ts",
  ]) {
    expect(names).not.toContain(forbidden);
  }
});

test("prices are found by name, prefix, date and day", () => {
  expect(fileCatalogue.find("demo")?.name).toBe("demo");
  expect(fileCatalogue.find("openai/gpt-4o-2024-08-06")?.name).toBe("gpt-4o");
  expect(fileCatalogue.find("claude-sonnet-4-20250514")?.name).toBe("claude-sonnet-4");
  expect(fileCatalogue.find("gpt-4o-ultra")).toBeNull();
  expect(priceAt(fileCatalogue.find("demo"), new Date("2026-01-01"))).toMatchObject({ input: "1", output: "4" });
  expect(priceAt(fileCatalogue.find("demo"), new Date("2020-01-01"))).toBeNull();
  expect(priceAt(null, new Date())).toBeNull();
  const model = fileCatalogue.models[0];
  const changed = model && {
    ...model,
    prices: [{ valid_from: "2026-02-01", input: "2", output: "2" }, ...model.prices],
  };
  expect(priceAt(changed ?? null, new Date("2026-01-31T23:59:59Z"))?.input).toBe("1");
  expect(priceAt(changed ?? null, new Date("2026-02-01T00:00:00Z"))?.input).toBe("2");
});

test("a cost is exact, cached and written tokens are priced apart, nothing is negative", () => {
  const price = { valid_from: "2025-01-01", input: "3", cached_input: "0.3", cache_write: "3.75", output: "15" };
  const usage = {
    ...noUsage,
    input_tokens: 1_000,
    cached_input_tokens: 600,
    cache_write_tokens: 100,
    output_tokens: 10,
  };
  // 300 × 3 + 600 × 0.3 + 100 × 3.75 + 10 × 15 USD per million
  expect(unitsToUsd(costOf(usage, price))).toBe("0.001605");
  expect(costOf({ ...noUsage, input_tokens: 1, cached_input_tokens: 5 }, { ...price, cached_input: "0" })).toBe(0n);
});

test("amounts are read and written without loss", () => {
  for (const usd of ["0", "1", "0.0000000001", "123456789012.0123456789", "-0.5"]) {
    expect(unitsToUsd(usdToUnits(usd))).toBe(usd);
  }
  expect(unitsToUsd(usdToUnits("1.50"))).toBe("1.5");
  for (const bad of ["", "1.", "1e3", "0.00000000001", " 1", "NaN"]) expect(() => usdToUnits(bad)).toThrow(RangeError);
});
