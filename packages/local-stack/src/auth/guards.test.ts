import { request as httpRequest } from "node:http";
import { silentLogger } from "@cortex/observability";
import { eventually } from "@cortex/testing";
import { generateKeyPair, importJWK, type JWTPayload, SignJWT } from "jose";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { startAuthServer } from "./server.ts";
import {
  type AuthUnderTest,
  newEmail,
  PASSWORD,
  sessionIn,
  SITE,
  startAuthUnderTest,
} from "./testing/auth-under-test.ts";

let auth: AuthUnderTest;
let nodeEnv: string | undefined;
beforeAll(async () => {
  nodeEnv = process.env["NODE_ENV"];
  auth = await startAuthUnderTest();
});
afterEach(() => {
  process.env["NODE_ENV"] = nodeEnv;
});
afterAll(() => auth.close());

/** The server's own key and what a token of it says, to forge variations. */
async function forge(change: { claims?: JWTPayload; header?: Record<string, unknown>; foreignKey?: boolean }) {
  const { user, access_token } = sessionIn(await auth.client().auth.signUp({ email: newEmail(), password: PASSWORD }));
  const [stored] = JSON.parse(await readFile(join(auth.home, "auth", "signing-keys.json"), "utf8")) as [
    { jwk: Parameters<typeof importJWK>[0] },
  ];
  const claims = JSON.parse(Buffer.from(access_token.split(".")[1] ?? "", "base64url").toString()) as JWTPayload;
  const key = change.foreignKey ? (await generateKeyPair("ES256")).privateKey : await importJWK(stored.jwk, "ES256");
  const token = await new SignJWT({ ...claims, ...change.claims })
    .setProtectedHeader({ alg: "ES256", kid: stored.jwk.kid ?? "", ...change.header })
    .sign(key);
  return { token, access_token, user };
}

const seconds = () => Math.floor(Date.now() / 1000);

test("the forge itself makes good tokens", async () => {
  const { token, user } = await forge({});
  expect((await auth.client().auth.getUser(token)).data.user?.id).toBe(user.id);
});

test.each([
  ["another issuer", { claims: { iss: "http://127.0.0.1:9/auth/v1" } }],
  ["another audience", { claims: { aud: "anon" } }],
  ["an expiry in the past", { claims: { exp: seconds() - 1 } }],
  ["a key that is not ours", { foreignKey: true }],
  ["a key id that is not ours", { header: { kid: "somebody" } }],
] as const)("a token with %s is refused", async (_what, change) => {
  const { token } = await forge(change);
  const { data, error } = await auth.client().auth.getUser(token);
  expect(data.user).toBeNull();
  expect(error).toMatchObject({ code: "bad_jwt", status: 403 });
});

test("a tampered, an unsigned and a symmetric token are refused", async () => {
  const { access_token } = await forge({});
  const [header = "", payload = "", signature = ""] = access_token.split(".");
  const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const claims = JSON.parse(Buffer.from(payload, "base64url").toString()) as JWTPayload;
  const [jwk] = ((await (await auth.request("/.well-known/jwks.json")).json()) as { keys: object[] }).keys;
  const symmetric = await new SignJWT(claims)
    .setProtectedHeader({ alg: "HS256" })
    .sign(new TextEncoder().encode(JSON.stringify(jwk)));
  const tokens = [
    `${header}.${encode({ ...claims, sub: crypto.randomUUID() })}.${signature}`,
    `${encode({ alg: "none" })}.${payload}.`,
    symmetric,
    "not.a.token",
    "x".repeat(4_000),
  ];
  for (const token of tokens) {
    const response = await auth.request("/user", { headers: { authorization: `Bearer ${token}` } });
    expect(await response.json()).toMatchObject({ error_code: "bad_jwt" });
  }
});

test("without a key of this project nobody gets in; keys and health are open", async () => {
  for (const key of ["", "sb_publishable_guess", `${auth.publishableKey}x`]) {
    const response = await fetch(`${auth.url}/auth/v1/user`, { headers: { apikey: key } });
    expect(response.status).toBe(401);
  }
  const inQuery = await fetch(`${auth.url}/auth/v1/settings?apikey=${auth.publishableKey}`);
  expect(inQuery.status).toBe(401);
  for (const path of ["/health", "/.well-known/jwks.json", "/.well-known/openid-configuration"]) {
    expect((await fetch(`${auth.url}/auth/v1${path}`)).status).toBe(200);
  }
});

test("the JWKS holds public parts only and may be cached; answers with tokens may not", async () => {
  const jwks = await auth.request("/.well-known/jwks.json");
  expect(jwks.headers.get("cache-control")).toBe("public, max-age=600");
  const { keys } = (await jwks.json()) as { keys: Record<string, unknown>[] };
  expect(keys).toHaveLength(1);
  expect(keys[0]).toMatchObject({ kty: "EC", crv: "P-256", alg: "ES256", use: "sig", key_ops: ["verify"] });
  expect(keys[0]).not.toHaveProperty("d");
  const token = await auth.request("/signup", { method: "POST", body: "{}" });
  expect(token.headers.get("cache-control")).toBe("no-store");
});

/** fetch does not let anybody set Host, so this speaks plain HTTP. */
function statusWithHost(host: string, path: string): Promise<number | undefined> {
  const { promise, resolve, reject } = Promise.withResolvers<number | undefined>();
  const { port } = new URL(auth.url);
  httpRequest({ port, host: "127.0.0.1", path, headers: { host } }, (response) => {
    response.resume();
    resolve(response.statusCode);
  })
    .on("error", reject)
    .end();
  return promise;
}

test("a request by another name than this machine's is refused everywhere (DNS rebinding)", async () => {
  for (const host of [
    "evil.example",
    "evil.example:54321",
    "127.0.0.1.evil.example",
    "localhost.evil.example",
    "10.0.0.1",
  ]) {
    expect(await statusWithHost(host, "/outbox")).toBe(403);
    expect(await statusWithHost(host, "/auth/v1/health")).toBe(403);
  }
  for (const host of ["localhost", "localhost:1", "127.0.0.1", "[::1]:80", "supabase.localhost"]) {
    expect(await statusWithHost(host, "/auth/v1/health")).toBe(200);
  }
});

test("pages of the site may call, other pages may not", async () => {
  const preflight = (origin: string) =>
    auth.request("/token?grant_type=password", {
      method: "OPTIONS",
      headers: {
        origin,
        "access-control-request-method": "POST",
        "access-control-request-headers": "apikey,content-type",
      },
    });
  for (const origin of [SITE, "http://127.0.0.1:3000"]) {
    expect((await preflight(origin)).headers.get("access-control-allow-origin")).toBe(origin);
  }
  for (const origin of ["https://evil.example", "http://localhost:3001", "null"]) {
    expect((await preflight(origin)).headers.get("access-control-allow-origin")).toBeNull();
  }
  expect(
    (await fetch(`${auth.url}/outbox`, { headers: { origin: SITE } })).headers.get("access-control-allow-origin"),
  ).toBeNull();
});

test.each([
  ["no JSON", "{", 400, "bad_json"],
  ["no object", "[1]", 400, "bad_json"],
  ["a field of another type", '{"email": 5, "password": "secret"}', 400, "bad_json"],
  ["NUL in a text", '{"email": "a@example.test", "password": "secret\\u0000"}', 400, "bad_json"],
  ["half a surrogate pair in metadata", '{"data": {"name": "\\ud800"}}', 400, "bad_json"],
  ["too much", JSON.stringify({ data: { blob: "x".repeat(70_000) } }), 413, "request_entity_too_large"],
])("a body with %s is refused and creates nobody", async (_what, body, status, code) => {
  const count = () => auth.database.owner.query<{ n: number }>("select count(*)::int as n from auth.users");
  const before = await count();
  const response = await auth.request("/signup", { method: "POST", body });
  expect(response.status).toBe(status);
  expect(await response.json()).toMatchObject({ error_code: code });
  expect((await count()).rows).toEqual(before.rows);
});

test("SQL in any field is text", async () => {
  const evil = `x'); drop table auth.users; --`;
  const client = auth.client();
  sessionIn(await client.auth.signUp({ email: newEmail(), password: evil, options: { data: { [evil]: evil } } }));
  expect((await client.auth.getUser()).data.user?.user_metadata).toMatchObject({ [evil]: evil });
});

test("unknown routes and a database that fails answer in the same form, without details", async () => {
  const unknown = await auth.request("/nothing", { headers: { "x-supabase-api-version": "2024-01-01" } });
  expect(unknown.status).toBe(404);
  expect(await unknown.json()).toEqual({ code: "not_found", message: "The local stack has no such route" });
  await auth.database.owner.query("alter table auth.users rename column email to electronic_mail");
  try {
    const broken = await auth.client().auth.signInWithPassword({ email: newEmail(), password: PASSWORD });
    expect(broken.error?.status).toBe(500);
    expect(broken.error?.message).not.toContain("column");
  } finally {
    await auth.database.owner.query("alter table auth.users rename column electronic_mail to email");
  }
});

test("a provider that is not there is named as hosted names it", async () => {
  const { data } = await auth
    .client()
    .auth.signInWithOAuth({ provider: "github", options: { skipBrowserRedirect: true } });
  const response = await fetch(data.url ?? "");
  expect(response.status).toBe(400);
  expect(await response.json()).toMatchObject({ msg: expect.stringContaining("not enabled") as unknown });
});

test("a restart of the database costs requests under way, not the server", async () => {
  const session = sessionIn(await auth.client().auth.signUp({ email: newEmail(), password: PASSWORD }));
  await auth.database.owner.query(
    `select pg_terminate_backend(pid) from pg_stat_activity
      where application_name like 'cortex-auth%' and datname = current_database()`,
  );
  await eventually(
    async () => (await auth.client().auth.getUser(session.access_token)).data.user?.id === session.user.id,
  );
  const { email = "" } = session.user;
  await eventually(
    async () => (await auth.client().auth.signInWithPassword({ email, password: PASSWORD })).data.session,
  );
});

const settings = () => ({
  databaseUrl: auth.database.ownerUrl,
  port: 0,
  home: auth.home,
  siteUrl: SITE,
  allowedOrigins: [],
  log: silentLogger(),
});

test("it does not start in production", async () => {
  process.env["NODE_ENV"] = "production";
  await expect(startAuthServer(settings())).rejects.toMatchObject({
    code: "bad_setting",
    message: expect.stringContaining("NODE_ENV=production") as unknown,
  });
});

test.each(["0.0.0.0", "192.168.1.5", "example.test", "::"])("it does not listen on %s", async (host) => {
  await expect(startAuthServer({ ...settings(), host })).rejects.toMatchObject({ code: "bad_setting" });
});

test("a taken port, nonsense settings and a database without the schema are one sentence each", async () => {
  const { port } = new URL(auth.url);
  await expect(startAuthServer({ ...settings(), port: Number(port) })).rejects.toMatchObject({ code: "port_taken" });
  await expect(startAuthServer({ ...settings(), siteUrl: "javascript:1" })).rejects.toMatchObject({
    code: "bad_setting",
  });
  await expect(startAuthServer({ ...settings(), tokenLifetimeSeconds: 0 })).rejects.toMatchObject({
    code: "bad_setting",
  });
  const bare = new URL(auth.database.ownerUrl);
  bare.pathname = "/template1";
  await expect(startAuthServer({ ...settings(), databaseUrl: bare.href })).rejects.toMatchObject({ code: "not_ready" });
});

test("a server that could not start leaves no connection open", async () => {
  const { port } = new URL(auth.url);
  const count = async () => {
    const { rows } = await auth.database.owner.query<{ n: number }>(
      "select count(*)::int as n from pg_stat_activity where application_name like 'cortex-auth%' and datname = current_database()",
    );
    return rows[0]?.n ?? 0;
  };
  const before = await count();
  await expect(startAuthServer({ ...settings(), port: Number(port) })).rejects.toMatchObject({ code: "port_taken" });
  await eventually(async () => (await count()) <= before);
});
