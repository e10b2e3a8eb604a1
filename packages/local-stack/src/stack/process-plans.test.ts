import pg from "pg";
import { expect, test } from "vitest";
import { type Addresses, apiPlan, authPlan, demoModelPlan, workerPlan } from "./process-plans.ts";

const at: Addresses = {
  root: "/checkout",
  home: "/home",
  ports: { api: 1, web: 2, supabase: 3 },
  ownerUrl: "",
  apiDatabaseUrl: "",
  workerDatabaseUrl: "",
  redisUrl: "",
  supabaseUrl: "",
  ownAuth: true,
  streamTicketSecret: "",
  secretsKeys: "",
  previews: { port: 5, url: "", secret: "" },
  model: { kind: "demo", baseUrl: "http://127.0.0.1:4/v1", apiKey: "", defaultModel: "demo" },
};
const workersOnly = ["BRAVE_API_KEY", "LANGFUSE_SECRET_KEY", "OTLP_TRACES_HEADERS", "TAVILY_API_KEY"];
const nobodys = [
  "DATABASE_URL",
  "LITELLM_API_KEY",
  "OPENAI_API_KEY",
  "PREVIEW_SECRET",
  "SECRETS_KEYS",
  "STREAM_TICKET_SECRET",
  "SUPABASE_SECRET_KEY",
];

test("keys and secrets that a person set reach whoever needs them, and nobody else", () => {
  const environment = Object.fromEntries([...workersOnly, ...nobodys].map((name) => [name, "canary"]));
  const reached = (plan: { env?: Record<string, string | undefined> }) =>
    Object.entries(plan.env ?? {})
      .flatMap(([name, value]) => (value === "canary" ? [name] : []))
      .toSorted();
  const worker = { number: 1, concurrency: null, owner: new pg.Pool(), since: new Date() };
  expect(reached(workerPlan(at, environment, worker))).toEqual(workersOnly);
  for (const plan of [apiPlan, authPlan, demoModelPlan]) expect(reached(plan(at, environment))).toEqual([]);
});
