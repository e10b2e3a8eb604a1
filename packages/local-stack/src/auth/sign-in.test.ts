import { createRemoteJWKSet, decodeProtectedHeader, jwtVerify } from "jose";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type AuthUnderTest, newEmail, PASSWORD, sessionIn, startAuthUnderTest } from "./testing/auth-under-test.ts";

/** Matchers are typed `any`; the claims are told what they stand for. */
const aNumber: unknown = expect.any(Number);
const aString: unknown = expect.any(String);
const aUuid: unknown = expect.stringMatching(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);

let auth: AuthUnderTest;
beforeAll(async () => {
  auth = await startAuthUnderTest();
});
afterAll(() => auth.close());

test("a sign-up opens a session, and the account of the new user exists", async () => {
  const client = auth.client();
  const answer = await client.auth.signUp({
    email: "Ada@Example.test",
    password: PASSWORD,
    options: { data: { name: "Ada" } },
  });
  const session = sessionIn(answer);
  expect(session.user).toMatchObject({ email: "ada@example.test", role: "authenticated", is_anonymous: false });
  expect(session.user.user_metadata).toMatchObject({ name: "Ada" });
  expect(session.user.app_metadata).toEqual({ provider: "email", providers: ["email"] });
  expect(session.user.identities?.[0]).toMatchObject({
    provider: "email",
    identity_data: { email: "ada@example.test" },
  });
  expect(session.user).not.toHaveProperty("encrypted_password");
  const { rows } = await auth.database.owner.query("select 1 from cortex.account_members where user_id = $1", [
    session.user.id,
  ]);
  expect(rows).toHaveLength(1);
});

test("the password is stored as a bcrypt hash of cost 10, and the refresh token not at all", async () => {
  const email = newEmail();
  const session = sessionIn(await auth.client().auth.signUp({ email, password: PASSWORD }));
  const { rows } = await auth.database.owner.query<{ encrypted_password: string; token: string }>(
    "select u.encrypted_password, t.token from auth.users u join auth.refresh_tokens t on t.user_id = u.id::text where email = $1",
    [email],
  );
  expect(rows[0]?.encrypted_password).toMatch(/^\$2a\$10\$.{53}$/);
  expect(rows[0]?.token).not.toContain(session.refresh_token);
});

test.each([
  ["a taken e-mail", { password: PASSWORD }, "user_already_exists", 422],
  ["a short password", { email: "short@example.test", password: "five5" }, "weak_password", 422],
  [
    "a password beyond bcrypt's reach",
    { email: "long@example.test", password: "x".repeat(73) },
    "validation_failed",
    400,
  ],
  ["a malformed e-mail", { email: "not an e-mail", password: PASSWORD }, "validation_failed", 400],
])("a sign-up with %s is refused as hosted refuses it", async (_what, credentials, code, status) => {
  const taken = newEmail();
  await auth.client().auth.signUp({ email: taken, password: PASSWORD });
  const { data, error } = await auth.client().auth.signUp({ email: taken, ...credentials });
  expect(error).toMatchObject({ code, status });
  expect(data.session).toBeNull();
});

test("a weak password says what it lacks", async () => {
  const { error } = await auth.client().auth.signUp({ email: newEmail(), password: "five5" });
  expect(error).toMatchObject({ name: "AuthWeakPasswordError", reasons: ["length"] });
});

test("the right password opens a session; a wrong one and an unknown e-mail get the same refusal", async () => {
  const email = newEmail();
  await auth.client().auth.signUp({ email, password: PASSWORD });
  const signedIn = await auth.client().auth.signInWithPassword({ email: email.toUpperCase(), password: PASSWORD });
  expect(sessionIn(signedIn).user.last_sign_in_at).toBeDefined();
  const wrong = await auth.client().auth.signInWithPassword({ email, password: "wrong" });
  const unknown = await auth.client().auth.signInWithPassword({ email: newEmail(), password: PASSWORD });
  expect(wrong.error).toMatchObject({ code: "invalid_credentials", status: 400 });
  expect(unknown.error).toEqual(wrong.error);
});

test("guessing a password ends after ten tries, even for the right one, and even when all come at once", async () => {
  const email = newEmail();
  await auth.client().auth.signUp({ email, password: PASSWORD });
  const guesses = await Promise.all(
    Array.from({ length: 12 }, (_, n) => auth.client().auth.signInWithPassword({ email, password: `guess ${n}` })),
  );
  const codes = guesses.map(({ error }) => error?.code);
  expect(codes.filter((code) => code === "invalid_credentials")).toHaveLength(10);
  expect(codes.filter((code) => code === "over_request_rate_limit")).toHaveLength(2);
  const right = await auth.request("/token?grant_type=password", {
    method: "POST",
    body: JSON.stringify({ email, password: PASSWORD }),
  });
  expect(right.status).toBe(429);
  expect(Number(right.headers.get("retry-after"))).toBeGreaterThan(0);
});

test("right passwords are not counted, however many come at once", async () => {
  const email = newEmail();
  await auth.client().auth.signUp({ email, password: PASSWORD });
  const signIn = () => auth.client().auth.signInWithPassword({ email, password: PASSWORD });
  const answers = await Promise.all(Array.from({ length: 16 }, signIn));
  expect(answers.map(({ error }) => error)).toEqual(answers.map(() => null));
});

test("the access token is ES256, carries the hosted claims and verifies through the JWKS", async () => {
  const { access_token, user } = sessionIn(await auth.client().auth.signUp({ email: newEmail(), password: PASSWORD }));
  const jwks = new URL(`${auth.url}/auth/v1/.well-known/jwks.json`);
  const { payload } = await jwtVerify(access_token, createRemoteJWKSet(jwks), {
    issuer: `${auth.url}/auth/v1`,
    audience: "authenticated",
    algorithms: ["ES256"],
  });
  expect(decodeProtectedHeader(access_token)).toEqual({ alg: "ES256", kid: aString, typ: "JWT" });
  expect(payload).toEqual({
    sub: user.id,
    iss: `${auth.url}/auth/v1`,
    aud: "authenticated",
    role: "authenticated",
    email: user.email,
    phone: "",
    app_metadata: user.app_metadata,
    user_metadata: user.user_metadata,
    aal: "aal1",
    amr: [{ method: "password", timestamp: aNumber }],
    session_id: aUuid,
    is_anonymous: false,
    iat: aNumber,
    exp: (payload.iat ?? 0) + 3600,
  });
});

test("getUser and getClaims know the signed-in user", async () => {
  const client = auth.client();
  const { user } = sessionIn(await client.auth.signUp({ email: newEmail(), password: PASSWORD }));
  expect((await client.auth.getUser()).data.user).toEqual(user);
  expect((await client.auth.getClaims()).data?.claims).toMatchObject({ sub: user.id, email: user.email });
});

test("an anonymous user can be, and becomes permanent with an e-mail and a password", async () => {
  const client = auth.client();
  const { user } = sessionIn(await client.auth.signInAnonymously({ options: { data: { from: "demo" } } }));
  expect(user).toMatchObject({ is_anonymous: true, email: "", identities: [], user_metadata: { from: "demo" } });
  expect((await client.auth.updateUser({ password: PASSWORD })).error).toMatchObject({ code: "validation_failed" });
  const email = newEmail();
  const updated = await client.auth.updateUser({ email, password: PASSWORD });
  expect(updated.data.user).toMatchObject({
    id: user.id,
    email,
    is_anonymous: false,
    app_metadata: { provider: "email" },
  });
  expect(sessionIn(await auth.client().auth.signInWithPassword({ email, password: PASSWORD })).user.id).toBe(user.id);
});

test("updateUser merges metadata, removes nulls, and app_metadata is not the user's to write", async () => {
  const client = auth.client();
  sessionIn(await client.auth.signUp({ email: newEmail(), password: PASSWORD, options: { data: { a: 1, b: 2 } } }));
  const { data } = await client.auth.updateUser({ data: { b: null, c: { d: [3] } } });
  expect(data.user?.user_metadata).toEqual({ a: 1, c: { d: [3] }, email_verified: true });
  const session = (await client.auth.getSession()).data.session;
  const refused = await auth.request("/user", {
    method: "PUT",
    headers: { authorization: `Bearer ${session?.access_token}` },
    body: JSON.stringify({ app_metadata: { plan: "pro" } }),
  });
  expect(refused.status).toBe(403);
});

test("a new password replaces the old one and ends the other sessions", async () => {
  const email = newEmail();
  const here = auth.client();
  const elsewhere = auth.client();
  sessionIn(await here.auth.signUp({ email, password: PASSWORD }));
  sessionIn(await elsewhere.auth.signInWithPassword({ email, password: PASSWORD }));
  expect((await here.auth.updateUser({ password: PASSWORD })).error).toMatchObject({ code: "same_password" });
  expect((await here.auth.updateUser({ password: "another password" })).error).toBeNull();
  expect((await here.auth.getUser()).error).toBeNull();
  expect((await elsewhere.auth.refreshSession()).error).toMatchObject({ code: "refresh_token_not_found" });
  expect((await auth.client().auth.signInWithPassword({ email, password: PASSWORD })).error).not.toBeNull();
  sessionIn(await auth.client().auth.signInWithPassword({ email, password: "another password" }));
});

test.each([
  ["local", [false, true, true]],
  ["others", [true, false, false]],
  ["global", [false, false, false]],
] as const)("signing out with scope %s ends the right sessions", async (scope, alive) => {
  const email = newEmail();
  await auth.client().auth.signUp({ email, password: PASSWORD });
  const sessions = [];
  const clients = [auth.client(), auth.client(), auth.client()];
  for (const client of clients)
    sessions.push(sessionIn(await client.auth.signInWithPassword({ email, password: PASSWORD })));
  expect((await clients[0]?.auth.signOut({ scope }))?.error).toBeNull();
  const answers = await Promise.all(sessions.map(({ access_token }) => auth.client().auth.getUser(access_token)));
  expect(answers.map(({ error }) => error === null)).toEqual(alive);
  expect(answers.flatMap(({ error }) => error?.name ?? []).every((name) => name === "AuthSessionMissingError")).toBe(
    true,
  );
});

test("phone numbers and unknown grants are refused by name", async () => {
  const byPhone = await auth.client().auth.signUp({ phone: "+15555550100", password: PASSWORD });
  expect(byPhone.error).toMatchObject({ code: "phone_provider_disabled" });
  const unknown = await auth.request("/token?grant_type=magic", { method: "POST", body: "{}" });
  expect(unknown.status).toBe(400);
});
