import { afterAll, beforeAll, expect, test } from "vitest";
import { type AuthUnderTest, newEmail, PASSWORD, sessionIn, startAuthUnderTest } from "./testing/auth-under-test.ts";

let auth: AuthUnderTest;
beforeAll(async () => {
  auth = await startAuthUnderTest();
});
afterAll(() => auth.close());

const admin = () => auth.admin().auth.admin;

async function aUser(email = newEmail()) {
  const { data, error } = await admin().createUser({ email, password: PASSWORD, email_confirm: true });
  if (error !== null) throw error;
  return data.user;
}

test("an admin creates a user who can sign in, with metadata and an id of choice", async () => {
  const email = newEmail();
  const id = crypto.randomUUID();
  const { data } = await admin().createUser({
    id,
    email,
    password: PASSWORD,
    email_confirm: true,
    user_metadata: { name: "Cara" },
    app_metadata: { plan: "pro" },
  });
  expect(data.user).toMatchObject({ id, email, user_metadata: { name: "Cara" } });
  expect(data.user?.app_metadata).toEqual({ provider: "email", providers: ["email"], plan: "pro" });
  sessionIn(await auth.client().auth.signInWithPassword({ email, password: PASSWORD }));
});

test("a taken e-mail, a malformed id and a missing e-mail are refused", async () => {
  const { email } = await aUser();
  expect((await admin().createUser({ email: email ?? "", password: PASSWORD })).error).toMatchObject({
    code: "email_exists",
  });
  expect((await admin().createUser({ id: "7", email: newEmail() })).error).toMatchObject({ code: "validation_failed" });
  expect((await admin().createUser({ password: PASSWORD })).error).toMatchObject({ code: "validation_failed" });
});

test("a user whom the admin did not confirm cannot sign in, nor can anybody sign up over them", async () => {
  const email = newEmail();
  await admin().createUser({ email, password: PASSWORD });
  const signIn = await auth.client().auth.signInWithPassword({ email, password: PASSWORD });
  expect(signIn.error).toMatchObject({ code: "email_not_confirmed" });
  const signUp = await auth.client().auth.signUp({ email, password: "somebody else's" });
  expect(signUp.error).toMatchObject({ code: "user_already_exists" });
});

test("users are listed in pages, newest first", async () => {
  for (let n = 0; n < 3; n += 1) await aUser();
  const newest = await aUser();
  const first = await admin().listUsers({ page: 1, perPage: 2 });
  if (first.error !== null) throw first.error;
  expect(first.data.users[0]?.id).toBe(newest.id);
  expect(first.data.users).toHaveLength(2);
  expect(first.data.nextPage).toBe(2);
  expect(first.data.total).toBeGreaterThanOrEqual(4);
  const second = await admin().listUsers({ page: 2, perPage: 2 });
  expect(second.data.users.map(({ id }) => id)).not.toContain(first.data.users[1]?.id);
});

test.each(["page=0", "page=x", "per_page=-1", "page=99999999999"])("nonsense pages are refused: %s", async (query) => {
  const response = await auth.request(`/admin/users?${query}`, { headers: { apikey: auth.secretKey } });
  expect(response.status).toBe(400);
});

test("a user is found by id; a missing one is user_not_found", async () => {
  const user = await aUser();
  expect((await admin().getUserById(user.id)).data.user).toMatchObject({ id: user.id, email: user.email });
  expect((await admin().getUserById(crypto.randomUUID())).error).toMatchObject({ code: "user_not_found", status: 404 });
});

test("an update changes what it names: e-mail, password, metadata, role", async () => {
  const user = await aUser();
  const email = newEmail();
  const { data } = await admin().updateUserById(user.id, {
    email,
    email_confirm: true,
    password: "set by the admin",
    user_metadata: { name: "Dora" },
    app_metadata: { plan: "team" },
  });
  expect(data.user).toMatchObject({
    email,
    user_metadata: { name: "Dora" },
    app_metadata: { provider: "email", plan: "team" },
    identities: [{ identity_data: { email } }],
  });
  sessionIn(await auth.client().auth.signInWithPassword({ email, password: "set by the admin" }));
});

test("a ban keeps a user out of everything until it is lifted", async () => {
  const user = await aUser();
  const client = auth.client();
  sessionIn(await client.auth.signInWithPassword({ email: user.email ?? "", password: PASSWORD }));
  await auth.client().auth.signInWithOtp({ email: user.email ?? "" });
  const { code: token } = await auth.mailTo(user.email ?? "");
  const banned = await admin().updateUserById(user.id, { ban_duration: "24h" });
  const hours = (Date.parse(banned.data.user?.banned_until ?? "") - Date.now()) / 3_600_000;
  expect(hours).toBeCloseTo(24, 1);

  const answers = [
    await auth.client().auth.signInWithPassword({ email: user.email ?? "", password: PASSWORD }),
    await auth.client().auth.verifyOtp({ email: user.email ?? "", token, type: "email" }),
    await client.auth.getUser(),
    await client.auth.refreshSession(),
  ];
  expect(answers.map(({ error }) => error?.code)).toEqual(answers.map(() => "user_banned"));

  await admin().updateUserById(user.id, { ban_duration: "none" });
  sessionIn(await auth.client().auth.verifyOtp({ email: user.email ?? "", token, type: "email" }));
});

test.each(["for ever", "24", "1d", "h", "-1h", "1h and more"])(
  "the ban duration %s is refused",
  async (ban_duration) => {
    const user = await aUser();
    const { error } = await admin().updateUserById(user.id, { ban_duration });
    expect(error).toMatchObject({ code: "validation_failed" });
  },
);

test("a deleted user is gone with everything, their token worthless", async () => {
  const client = auth.client();
  const { user } = sessionIn(await client.auth.signUp({ email: newEmail(), password: PASSWORD }));
  expect((await admin().deleteUser(user.id)).error).toBeNull();
  expect((await client.auth.getUser()).error).toMatchObject({ code: "user_not_found" });
  const { rows } = await auth.database.owner.query("select 1 from auth.refresh_tokens where user_id = $1", [user.id]);
  expect(rows).toEqual([]);
});

test("a softly deleted user keeps the row and nothing that tells who it was; the e-mail is free again", async () => {
  const email = newEmail();
  const client = auth.client();
  const { user } = sessionIn(
    await client.auth.signUp({ email, password: PASSWORD, options: { data: { name: "Eve" } } }),
  );
  expect((await admin().deleteUser(user.id, true)).error).toBeNull();
  expect((await client.auth.getUser()).error).not.toBeNull();
  const { data } = await admin().getUserById(user.id);
  expect(data.user?.deleted_at).toBeDefined();
  expect(JSON.stringify(data.user)).not.toMatch(/Eve|person-/);
  const { rows } = await auth.database.owner.query("select 1 from auth.sessions where user_id = $1", [user.id]);
  expect(rows).toEqual([]);
  expect(sessionIn(await auth.client().auth.signUp({ email, password: PASSWORD })).user.id).not.toBe(user.id);
});

test("an admin signs a user out by their token", async () => {
  const session = sessionIn(await auth.client().auth.signUp({ email: newEmail(), password: PASSWORD }));
  expect((await admin().signOut(session.access_token)).error).toBeNull();
  expect((await auth.client().auth.getUser(session.access_token)).error?.name).toBe("AuthSessionMissingError");
});

test("neither the publishable key nor a user's token opens the admin API", async () => {
  const client = auth.client();
  const { access_token } = sessionIn(await client.auth.signUp({ email: newEmail(), password: PASSWORD }));
  expect((await client.auth.admin.listUsers()).error).toMatchObject({ code: "not_admin", status: 403 });
  for (const [path, method] of [
    ["/admin/users", "POST"],
    [`/admin/users/${crypto.randomUUID()}`, "DELETE"],
    ["/admin/anything", "GET"],
  ] as const) {
    const response = await auth.request(path, { method, headers: { authorization: `Bearer ${access_token}` } });
    expect(response.status).toBe(403);
  }
});
