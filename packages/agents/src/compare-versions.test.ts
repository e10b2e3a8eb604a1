import { type AgentVersion, VersionComparison } from "@cortex/contracts";
import { expect, test } from "vitest";
import { compareVersions } from "./compare-versions.ts";

const version = (number: number, rest: Partial<AgentVersion> = {}): AgentVersion => ({
  id: "11111111-1111-4111-8111-111111111111" as AgentVersion["id"],
  agent_id: "22222222-2222-4222-8222-222222222222" as AgentVersion["agent_id"],
  version: number,
  instructions: "Be brief.\nBe kind.\n",
  model: null,
  fallback_models: [],
  model_parameters: { temperature: 0.5, top_p: 1 },
  tools: ["a", "b"],
  approvals: { a: "always" },
  max_steps: 50,
  created_at: "2026-01-01T00:00:00.000Z",
  ...rest,
});

test("only what differs is said, with both values; the order of keys is no difference, that of names is", () => {
  expect(compareVersions(version(1), version(2, { model_parameters: { top_p: 1, temperature: 0.5 } }))).toEqual({
    from: 1,
    to: 2,
    changes: [],
    instructions: null,
  });
  const other = version(3, { model: "grand", tools: ["b", "a"], approvals: {} });
  const comparison = compareVersions(version(1), other);
  expect(VersionComparison.parse(comparison)).toEqual(comparison);
  expect(comparison.changes).toEqual([
    { field: "model", from: null, to: "grand" },
    { field: "tools", from: ["a", "b"], to: ["b", "a"] },
    { field: "approvals", from: { a: "always" }, to: {} },
  ]);
});

test("instructions are compared by lines, and what came and went makes both texts", () => {
  const [from, to] = ["Be brief.\nBe kind.\nEnd.", "Be brief.\r\nBe thorough.\nBe kind.\nEnd.\n"];
  const { instructions, changes } = compareVersions(
    version(1, { instructions: from }),
    version(2, { instructions: to }),
  );
  expect(changes.map(({ field }) => field)).toEqual(["instructions"]);
  const text = (without: string) =>
    instructions?.flatMap((part) => (part.kind === without ? [] : [part.text])).join("");
  expect([text("added"), text("removed")]).toEqual([from, to]);
  expect(instructions?.some(({ kind, text: same }) => kind === "same" && same.includes("Be kind."))).toBe(true);
});

test("texts of the largest size that have nothing in common are given up soon, and said to differ", () => {
  const lines = (word: string) => Array.from({ length: 20_000 }, (_, n) => `${word}${n}`).join("\n");
  const startedAt = performance.now();
  const { instructions, changes } = compareVersions(
    version(1, { instructions: lines("a") }),
    version(2, { instructions: lines("b") }),
  );
  expect([instructions, changes.length]).toEqual([null, 1]);
  expect(performance.now() - startedAt).toBeLessThan(10_000);
});
