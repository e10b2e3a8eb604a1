import { expect, test } from "vitest";
import { importFindings, type Manifest } from "./import-findings.ts";
import { findCycle, manifestFindings } from "./manifest-findings.ts";
import { nameFindings } from "./name-findings.ts";
import { ROOMS } from "./rooms.ts";

const everything = Object.fromEntries(
  [
    "zod",
    "hono",
    "openai",
    "bullmq",
    "ioredis",
    "pg",
    "kysely",
    "pino",
    ...Object.keys(ROOMS).map((name) => `@cortex/${name}`),
  ].map((name) => [name, "*"]),
);

/** Every room, with every dependency listed, so that a finding comes from the table and not from a manifest. */
const manifests = new Map<string, Manifest>([
  ["", { name: "cortex", devDependencies: { vitest: "*" } }],
  ...Object.keys(ROOMS).map((name): [string, Manifest] => [
    `${["api", "worker", "web"].includes(name) ? "apps" : "packages"}/${name}`,
    {
      name: `@cortex/${name}`,
      dependencies: everything,
      exports: { ".": "./src/index.ts", "./port": "./src/port/index.ts", "./catalogue": "./src/catalogue.ts" },
    },
  ]),
]);

const judge = (path: string, source: string): string[] =>
  importFindings({ manifests, sources: new Map([[path, source]]) });

const ALLOWED: readonly (readonly [string, string])[] = [
  ["packages/contracts/src/a.ts", "zod"],
  ["packages/db/src/a.ts", "@cortex/observability"],
  ["packages/runs/src/a.ts", "@cortex/billing"],
  ["packages/runs/src/a.ts", "@cortex/failpoints"],
  ["packages/sandbox/src/lifecycle/a.ts", "@cortex/db"],
  ["packages/agentpress/src/a.ts", "@cortex/sandbox/port"],
  ["packages/local-stack/src/bin/demo.ts", "@cortex/client"],
  ["packages/runs/src/a.test.ts", "@cortex/testing"],
  ["packages/contracts/src/a.test.ts", "node:http"],
  ["packages/sandbox/src/providers/conformance.ts", "vitest"],
  ["packages/testing/src/a.ts", "@cortex/local-stack"],
  ["apps/api/src/a.ts", "@cortex/agentpress/catalogue"],
  ["apps/worker/src/a.ts", "@cortex/agentpress"],
  ["bench/main.ts", "@cortex/testing"],
  ["packages/runs/src/deep/a.ts", "../b.ts"],
  ["packages/local-stack/src/demo-model/a.test.ts", "openai"],
  ["packages/local-stack/src/demo-model/testing/a.ts", "openai"],
  ["packages/local-stack/src/demo-model/a.test.ts", "./testing/a.ts"],
];

test.each(ALLOWED)("%s may import %s", (path, specifier) => {
  expect(judge(path, `import { x } from "${specifier}";`)).toEqual([]);
});

const FORBIDDEN: readonly (readonly [string, string])[] = [
  ["packages/contracts/src/a.ts", "@cortex/observability"],
  ["packages/contracts/src/a.ts", "node:crypto"],
  ["packages/observability/src/a.ts", "@cortex/contracts"],
  ["packages/db/src/a.ts", "@cortex/contracts"],
  ["packages/db/src/a.ts", "node:http"],
  ["packages/queue/src/a.ts", "@cortex/db"],
  ["packages/events/src/a.ts", "@cortex/runs"],
  ["packages/events/src/a.ts", "bullmq"],
  ["packages/accounts/src/a.ts", "@cortex/runs"],
  ["packages/agents/src/a.ts", "@cortex/agentpress"],
  ["packages/agents/src/a.ts", "hono"],
  ["packages/billing/src/a.ts", "@cortex/queue"],
  ["packages/runs/src/a.ts", "@cortex/events"],
  ["packages/runs/src/a.ts", "@cortex/sandbox/port"],
  ["packages/runs/src/a.test.ts", "@cortex/queue"],
  ["packages/sandbox/src/providers/a.ts", "@cortex/db"],
  ["packages/sandbox/src/a.ts", "@cortex/runs"],
  ["packages/agentpress/src/a.ts", "@cortex/sandbox"],
  ["packages/agentpress/src/a.ts", "@cortex/db"],
  ["packages/agentpress/src/a.ts", "@cortex/failpoints"],
  ["packages/failpoints/src/a.ts", "@cortex/observability"],
  ["packages/agentpress/src/a.ts", "node:https"],
  ["packages/client/src/a.ts", "@cortex/observability"],
  ["packages/local-stack/src/a.ts", "@cortex/runs"],
  ["packages/runs/src/a.ts", "@cortex/local-stack"],
  ["packages/runs/src/a.ts", "@cortex/testing"],
  ["packages/runs/src/a.ts", "vitest"],
  ["apps/api/src/a.ts", "@cortex/agentpress"],
  ["apps/api/src/a.ts", "@cortex/worker"],
  ["apps/api/src/a.test.ts", "@cortex/local-stack"],
  ["apps/worker/src/a.ts", "hono"],
  ["apps/worker/src/a.ts", "@cortex/client"],
  ["apps/web/src/a.ts", "@cortex/db"],
  ["packages/runs/src/a.ts", "@cortex/runs"],
  ["packages/runs/src/a.ts", "@cortex/db/src/pool.ts"],
  ["packages/runs/src/a.ts", "../../db/src/pool.ts"],
  ["packages/runs/src/a.ts", "./testing/a.ts"],
  ["packages/runs/src/a.ts", "./providers/conformance.ts"],
  ["packages/local-stack/src/demo-model/a.ts", "openai"],
  ["packages/runs/src/a.ts", "@cortex/knowledge"],
  ["packages/runs/src/a.ts", "left-pad"],
  ["packages/runs/src/a.ts", "fs"],
];

test.each(FORBIDDEN)("%s may not import %s", (path, specifier) => {
  expect(judge(path, `import { x } from "${specifier}";`)).toHaveLength(1);
});

test.each([
  `import type { Pool } from "pg";`,
  `import "pg";`,
  `export { Pool } from "pg";`,
  `export * from "pg";`,
  `export type { Pool } from "pg";`,
  `const pg = await import("pg");`,
])("an import counts in every form: %s", (source) => {
  expect(judge("packages/agentpress/src/a.ts", source)).toHaveLength(1);
});

test("a computed import and a word in a comment or a string are no imports", () => {
  const source = `// import "pg"\nconst s = 'import "pg"'; export const load = (path: string) => import(path);`;
  expect(judge("packages/agentpress/src/a.ts", source)).toEqual([]);
});

test("an import has to stand in the package's own dependencies", () => {
  const own = new Map<string, Manifest>([
    ["packages/runs", { name: "@cortex/runs" }],
    ["packages/db", { name: "@cortex/db", exports: { ".": "./src/index.ts" } }],
  ]);
  const sources = new Map([["packages/runs/src/a.ts", `import { db } from "@cortex/db"; import { z } from "zod";`]]);
  expect(importFindings({ manifests: own, sources })).toEqual([
    'packages/runs/src/a.ts: "@cortex/db" is not in the dependencies of packages/runs/package.json',
    'packages/runs/src/a.ts: "zod" is not in the dependencies of packages/runs/package.json',
  ]);
});

test("a package may not depend on what it may not import, nor be a room the table does not know", () => {
  const findings = manifestFindings(
    new Map<string, Manifest>([
      ["packages/runs", { name: "@cortex/runs", dependencies: { "@cortex/queue": "*", "@cortex/db": "*" } }],
      ["packages/utils", { name: "@cortex/utils" }],
      ["packages/queue", { name: "@cortex/jobs", dependencies: { "@cortex/runs": "*" } }],
    ]),
  );
  expect(findings).toEqual([
    "packages/runs: may not depend on @cortex/queue",
    "packages/utils: no such room in scripts/house/rooms.ts (and so in ARCHITECTURE.md)",
    "packages/queue: is named @cortex/jobs, not @cortex/queue",
    "packages/queue: may not depend on @cortex/runs",
    "packages in a cycle: runs → queue → runs",
  ]);
});

test("the table itself has no cycle", () => {
  const graph = Object.entries(ROOMS).map(([name, room]): [string, string[]] => [
    name,
    [...room.imports, ...Object.values(room.onlyIn ?? {}).flat()].map((door) => door.split("/")[0] ?? door),
  ]);
  expect(findCycle(new Map(graph))).toBeNull();
});

test("folders and files of empty names are found, names that contain such a word are not", () => {
  expect(
    nameFindings(["packages/runs/src/utils/a.ts", "packages/db/src/helpers.test.ts", "packages/db/src/shared-tail.ts"]),
  ).toHaveLength(2);
});
