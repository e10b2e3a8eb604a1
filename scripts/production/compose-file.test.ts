import { execFile } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseEnv } from "node:util";
import { expect, test } from "vitest";
import { parse } from "yaml";
import { z } from "zod";
import { productionEnvironment } from "./environment.ts";

const root = resolve(import.meta.dirname, "../..");
const text = readFileSync(join(root, "docker-compose.yml"), "utf8");

const Service = z.looseObject({
  image: z.string().optional(),
  build: z.object({ context: z.string(), dockerfile: z.string(), target: z.string() }).optional(),
  environment: z.record(z.string(), z.string()).optional(),
  depends_on: z.record(z.string(), z.object({ condition: z.string() })).optional(),
  volumes: z.array(z.string()).optional(),
  healthcheck: z.looseObject({}).optional(),
  stop_grace_period: z.string().optional(),
  networks: z.array(z.string()).optional(),
  deploy: z.object({ resources: z.object({ limits: z.object({ memory: z.string() }).loose() }) }),
});
const { services } = z
  .object({ services: z.record(z.string(), Service) })
  .parse(parse(text, { merge: true }) as unknown);
const each = Object.entries(services);

/** The findings of dclint (schema of the Compose specification, and its rules but those about order and quotes), one line each. */
async function findings(compose: string): Promise<string[]> {
  const folder = await mkdtemp(join(tmpdir(), "cortex-compose-"));
  try {
    await writeFile(join(folder, "docker-compose.yml"), compose);
    const order = ["service-keys-order", "services-alphabetical-order", "top-level-properties-order"];
    const quotes = ["require-quotes-in-ports", "service-dependencies-alphabetical-order"];
    const rules = Object.fromEntries([...order, ...quotes].map((rule) => [rule, 0]));
    await writeFile(join(folder, "rules.json"), JSON.stringify({ rules }));
    const manifest = fileURLToPath(import.meta.resolve("dclint/package.json"));
    const argv = [join(dirname(manifest), "bin/dclint.cjs"), "--config", "rules.json", "--formatter", "json"];
    const output = await new Promise<string>((done) => {
      execFile(process.execPath, [...argv, "docker-compose.yml"], { cwd: folder, timeout: 20_000 }, (_error, stdout) =>
        done(stdout),
      );
    });
    const Report = z.array(z.object({ messages: z.array(z.object({ rule: z.string(), message: z.string() })) }));
    return Report.parse(JSON.parse(output)).flatMap(({ messages }) =>
      messages.map(({ rule, message }) => `${rule}: ${message}`),
    );
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

test("the file is as the Compose specification has it", async () => {
  expect(await findings(text)).toEqual([]);
});

test("and a file that is not is noticed", async () => {
  const broken = text.replace("condition: service_healthy", "condition: healthy");
  expect(await findings(broken)).toEqual([expect.stringContaining("invalid-schema")]);
});

/** `${NAME}`, `${NAME:-default}` or `${NAME:?why}`, wherever it stands; `$$` is a dollar. */
const variables = [...text.matchAll(/(?<!\$)\$\{(\w+)(:?[-?])?([^}]*)\}/g)].map(([, name = "", kind, rest = ""]) => ({
  name,
  required: kind === ":?",
  fallback: kind === ":-" ? rest : null,
}));

test("every variable is required or has a default, and no secret has one", () => {
  expect(variables.filter(({ required, fallback }) => !required && fallback === null)).toEqual([]);
  const secrets = variables.filter(({ name }) => /PASSWORD|SECRET|KEY|PASS$/.test(name));
  expect(secrets.length).toBeGreaterThan(8);
  expect(secrets.filter(({ required, fallback }) => !required && fallback !== "")).toEqual([]);
});

test("the environment file that we write has every variable, and no other", () => {
  const environment = productionEnvironment({ publicUrl: "https://cortex.example.com" });
  const set = parseEnv(environment);
  const mentioned = [...Object.keys(set), ...[...environment.matchAll(/^#(\w+)=/gm)].map(([, name = ""]) => name)];
  expect(mentioned.toSorted()).toEqual([...new Set(variables.map(({ name }) => name))].toSorted());
  const toFillIn = new Set(["OPENAI_API_KEY"]);
  const missing = variables.filter(({ name, required }) => required && !toFillIn.has(name) && !set[name]);
  expect(missing).toEqual([]);
});

test("it takes an origin on the usual port and nothing else", () => {
  for (const publicUrl of ["", "cortex.example.com", "https://a.example/path", "https://a.example:8443", "ftp://a"]) {
    expect(() => productionEnvironment({ publicUrl })).toThrow("is no address");
  }
  expect(productionEnvironment({ publicUrl: "http://localhost/" })).toContain("PUBLIC_URL=http://localhost\n");
});

test("two installations share no secret", () => {
  const [one, other] = [1, 2].map(() => parseEnv(productionEnvironment({ publicUrl: "https://cortex.example.com" })));
  const secrets = Object.keys(one ?? {}).filter((name) => /PASSWORD$|SECRET$|KEYS?$/.test(name) && one?.[name] !== "");
  expect(secrets).toHaveLength(11);
  for (const name of secrets) expect(one?.[name]).not.toBe(other?.[name]);
});

test("every service is watched, limited, and has an exact version or is built here", () => {
  for (const [name, service] of each) {
    expect(service.deploy.resources.limits.memory, `service ${name}`).toMatch(/^\d+[MG]$/);
    expect(service.build !== undefined || /:[\w.-]*\d/.test(service.image ?? ""), `service ${name}`).toBe(true);
  }
  const watched = each.filter(([, service]) => service.healthcheck !== undefined || service.build !== undefined);
  expect(watched.map(([name]) => name)).toEqual(each.map(([name]) => name));
});

test("whoever is waited for exists, and can be waited for in that way", () => {
  for (const [name, service] of each) {
    for (const [other, { condition }] of Object.entries(service.depends_on ?? {})) {
      expect(Object.keys(services), `${name} waits for ${other}`).toContain(other);
      expect(condition, `${name} waits for ${other}`).toBe(
        other === "migrate" ? "service_completed_successfully" : "service_healthy",
      );
    }
  }
});

test("our processes are given the time that they ask for at a stop", () => {
  for (const name of ["api", "worker"]) {
    const asked = Number(services[name]?.environment?.["SHUTDOWN_TIMEOUT_MS"]);
    const given = Number.parseInt(services[name]?.stop_grace_period ?? "", 10) * 1_000;
    expect(asked, `service ${name}`).toBeGreaterThan(0);
    expect(given, `service ${name}`).toBeGreaterThan(asked);
  }
});

test("whoever asks addresses that users name has a way out", () => {
  const asking = each.filter(([, { environment }]) => environment?.["EGRESS_ALLOW"] !== undefined);
  expect(asking.map(([name, { networks }]) => [name, networks])).toEqual([
    ["api", ["inside", "outside"]],
    ["worker", ["inside", "outside"]],
  ]);
});

test("mounted files and build targets exist", () => {
  const mounted = each.flatMap(([, service]) => service.volumes ?? []).filter((volume) => volume.startsWith("./"));
  const sources = mounted.map((volume) => volume.split(":")[0] ?? "");
  expect(sources.length).toBeGreaterThan(2);
  expect(sources.filter((source) => !existsSync(join(root, source)))).toEqual([]);

  const dockerfile = readFileSync(join(root, "docker/Dockerfile"), "utf8");
  const targets = each.flatMap(([, service]) => (service.build ? [service.build.target] : []));
  expect(targets).toEqual(["api", "worker", "api"]);
  expect(targets.filter((target) => !dockerfile.includes(` AS ${target}\n`))).toEqual([]);
});

test("the images run the Node that everything else runs on", () => {
  const dockerfile = readFileSync(join(root, "docker/Dockerfile"), "utf8");
  const manifest = z
    .object({ devDependencies: z.record(z.string(), z.string()) })
    .parse(JSON.parse(readFileSync(join(root, "package.json"), "utf8")));
  expect(/^ARG NODE_VERSION=(.+)$/m.exec(dockerfile)?.[1]).toBe(manifest.devDependencies["node"]);
});
