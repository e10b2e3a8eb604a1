import { createHmac, generateKeyPairSync } from "node:crypto";
import { CompactSign, exportSPKI, importJWK, type JWTPayload } from "jose";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type ApiUnderTest, type Person, startApiUnderTest } from "../testing/api-under-test.ts";
import { newSigningKey, type SigningKey } from "../testing/signing-project.ts";

let api: ApiUnderTest;
let alice: Person;
let rsa: SigningKey;
beforeAll(async () => {
  api = await startApiUnderTest();
  rsa = await newSigningKey("RS256");
  api.project.published.push(rsa.jwk);
  alice = await api.person();
});
afterAll(() => api.close());

const now = () => Math.floor(Date.now() / 1_000);
const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");
const statusWith = async (authorization: string | string[]): Promise<number> => {
  const headers = new Headers();
  for (const each of [authorization].flat()) headers.append("authorization", each);
  const response = await fetch(`${api.url}/api/billing/balance`, { headers });
  await response.body?.cancel();
  return response.status;
};
const claims = (changes: JWTPayload = {}): JWTPayload => ({
  sub: alice.userId,
  aud: "authenticated",
  role: "authenticated",
  iss: api.project.issuer,
  iat: now(),
  exp: now() + 60,
  ...changes,
});
const signed = (changes: Record<string, unknown>, header?: Record<string, unknown>, key?: SigningKey) =>
  api.project.token({ sub: alice.userId, ...changes }, header, key);
/** Signed by hand, where the library would refuse to. */
const hmac = (key: string | Buffer, header: object, payload: object): string => {
  const text = `${encode(header)}.${encode(payload)}`;
  return `${text}.${createHmac("sha256", key).update(text).digest("base64url")}`;
};
const publicPem = async (): Promise<string> => {
  const key = await importJWK(api.project.key.jwk, "ES256", { extractable: true });
  if (key instanceof Uint8Array) throw new Error("an EC key is none of bytes");
  return exportSPKI(key);
};

test("tokens of the project are let in: ES256 and RS256, with clocks 30 s apart", async () => {
  expect(await statusWith(`Bearer ${alice.token}`)).toBe(200);
  expect(await statusWith(`Bearer ${await signed({}, {}, rsa)}`)).toBe(200);
  expect(await statusWith(`Bearer ${await signed({ exp: now() - 25 })}`)).toBe(200);
  expect(await statusWith(`Bearer ${await signed({ iat: now() + 25 })}`)).toBe(200);
  expect(await statusWith(`Bearer ${await signed({ nbf: now() + 25 })}`)).toBe(200);
  expect(await statusWith(`Bearer ${await signed({ is_anonymous: true })}`)).toBe(200);
});

const forgeries: Record<string, () => Promise<string> | string> = {
  "alg none": () => `${encode({ alg: "none" })}.${encode(claims())}.`,
  "alg none with a signature": () => `${encode({ alg: "none" })}.${encode(claims())}.c2ln`,
  "alg None": () => `${encode({ alg: "None" })}.${encode(claims())}.c2ln`,
  "empty alg": () => `${encode({ alg: "" })}.${encode(claims())}.c2ln`,
  "no alg": () => `${encode({})}.${encode(claims())}.c2ln`,
  "HS256 signed with the public key as PEM": async () => hmac(await publicPem(), { alg: "HS256" }, claims()),
  "HS256 signed with the public key as JWK": () =>
    hmac(JSON.stringify(api.project.key.jwk), { alg: "HS256", kid: api.project.key.kid }, claims()),
  "HS256 with an empty secret": () => hmac("", { alg: "HS256" }, claims()),
  HS512: () => `${encode({ alg: "HS512" })}.${encode(claims())}.c2ln`,
  "a key that the project does not publish": async () => signed({}, {}, await newSigningKey()),
  "a foreign key under the project's kid": async () => signed({}, { kid: api.project.key.kid }, await newSigningKey()),
  "another algorithm than its key's": async () => signed({}, { kid: rsa.kid }),
  "kid of a path": () => signed({}, { kid: "../../../../dev/null" }),
  "kid of SQL": () => signed({}, { kid: "x' or 1=1 --" }),
  "kid of an address": () => signed({}, { kid: "http://127.0.0.1/jwks.json" }),
  "jwk in the header": async () => {
    const key = await newSigningKey();
    return signed({}, { jwk: key.jwk, kid: key.kid }, key);
  },
  "jku in the header": async () => signed({}, { jku: "http://127.0.0.1:9/jwks.json", kid: "x" }, await newSigningKey()),
  "x5u in the header": async () => signed({}, { x5u: "http://127.0.0.1:9/cert", kid: "x" }, await newSigningKey()),
  "a critical header that nobody knows": () =>
    `${encode({ alg: "ES256", kid: api.project.key.kid, crit: ["b64"], b64: false })}.${encode(claims())}.c2ln`,
  "expired 31 s ago": () => signed({ exp: now() - 31 }),
  "not before 32 s from now": () => signed({ nbf: now() + 32 }),
  "issued 32 s from now": () => signed({ iat: now() + 32 }),
  "no exp": () => signed({ exp: undefined }),
  "no iat": () => signed({ iat: undefined }),
  "no sub": () => signed({ sub: undefined }),
  "no role": () => signed({ role: undefined }),
  "no aud": () => signed({ aud: undefined }),
  "no iss": () => signed({ iss: undefined }),
  "exp is text": () => unchecked({ exp: "9999999999" }),
  "exp is not finite": () => unchecked({ exp: "infinite" }),
  "exp is 1e20": () => unchecked({ exp: 1e20 }),
  "iat is negative": () => unchecked({ iat: -1 }),
  "another issuer": () => signed({ iss: "http://127.0.0.1:1/auth/v1" }),
  "the issuer with a suffix": () => signed({ iss: `${api.project.issuer}/` }),
  "the issuer in a list": () => unchecked({ iss: [api.project.issuer] }),
  "another audience": () => signed({ aud: "anon" }),
  "several audiences": () => signed({ aud: ["authenticated", "other"] }),
  "role service_role": () => signed({ role: "service_role" }),
  "role anon": () => signed({ role: "anon" }),
  "roles in a list": () => signed({ role: ["authenticated"] }),
  "sub is no uuid": () => signed({ sub: "alice" }),
  "sub is a list": () => unchecked({ sub: [alice.userId] }),
  "sub with SQL behind it": () => signed({ sub: `${alice.userId}' or '1'='1` }),
  "two parts": () => alice.token.split(".").slice(0, 2).join("."),
  "four parts": () => `${alice.token}.x`,
  "a changed payload": () => {
    const [head, , tail] = alice.token.split(".");
    return `${head}.${encode(claims({ role: "authenticated", sub: crypto.randomUUID() }))}.${tail}`;
  },
  "a cut signature": () => alice.token.slice(0, -4),
  "9 KB": () => signed({ padding: "x".repeat(9_000) }),
};

/** Signed by the project, although the library would not let anybody claim that. */
const unchecked = (changes: Record<string, unknown>): Promise<string> => {
  const { alg, kid, privateKey } = api.project.key;
  const text = JSON.stringify({ ...claims(), ...changes }).replace('"infinite"', "1e400");
  return new CompactSign(Buffer.from(text)).setProtectedHeader({ alg, kid }).sign(privateKey);
};

test.for(Object.keys(forgeries))("%s: 401", async (name) => {
  const token = await forgeries[name]?.();
  const response = await fetch(`${api.url}/api/me`, { headers: { authorization: `Bearer ${token}` } });
  const { request_id: _each, ...problem } = (await response.json()) as Record<string, unknown>;
  // The same words for every reason.
  expect(problem).toEqual({
    type: "urn:cortex:problem:unauthenticated",
    title: "Not authenticated",
    status: 401,
    detail: "Not authenticated.",
    code: "unauthenticated",
    retryable: false,
  });
  expect(response.headers.get("www-authenticate")).toBe("Bearer");
});

test.for([
  ["another scheme", (token: string) => `Basic ${token}`],
  ["a lower-case scheme", (token: string) => `bearer ${token}`],
  ["a tab", (token: string) => `Bearer\t${token}`],
  ["two blanks", (token: string) => `Bearer  ${token}`],
  ["no scheme", (token: string) => token],
  ["two headers", (token: string) => [`Bearer ${token}`, `Bearer ${token}`]],
  ["two tokens", (token: string) => `Bearer ${token} ${token}`],
  ["quotes", (token: string) => `Bearer "${token}"`],
] as const)("%s: 401", async ([, header]) => {
  expect(await statusWith(header(alice.token))).toBe(401);
});

test("a token in the query is none", async () => {
  for (const name of ["token", "access_token", "apikey", "ticket"]) {
    expect((await fetch(`${api.url}/api/me?${name}=${alice.token}`)).status).toBe(401);
  }
});

test("HS256 is taken only from who configured its secret, and never with another key", async () => {
  const secret = "a-legacy-secret-of-at-least-32-characters";
  const legacy = await startApiUnderTest({ env: { SUPABASE_JWT_SECRET: secret } });
  try {
    const person = await legacy.person();
    const payload = { ...claims(), iss: legacy.project.issuer, sub: person.userId };
    const status = async (token: string) => (await legacy.call("GET", "/me", { as: { ...person, token } })).status;
    expect(await status(hmac(secret, { alg: "HS256", typ: "JWT" }, payload))).toBe(200);
    expect(await status(person.token)).toBe(200);
    expect(await status(hmac(`${secret}!`, { alg: "HS256" }, payload))).toBe(401);
    expect(await status(hmac(secret, { alg: "HS256" }, { ...payload, role: "service_role" }))).toBe(401);
    expect(await status(hmac(secret, { alg: "HS256" }, { ...payload, aud: "anon" }))).toBe(401);
    const { publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const pem = publicKey.export({ type: "spki", format: "pem" });
    expect(await status(hmac(pem, { alg: "HS256" }, payload))).toBe(401);
    expect(await status(hmac(secret, { alg: "ES256", kid: legacy.project.key.kid }, payload))).toBe(401);
  } finally {
    await legacy.close();
  }
});

test("a token that outlived its user is one of nobody", async () => {
  const gone = await api.person();
  await api.database.owner.query("delete from auth.users where id = $1", [gone.userId]);
  const answer = await api.call("GET", "/me", { as: gone });
  expect([answer.status, answer.body]).toMatchObject([401, { code: "unauthenticated" }]);
});
