import { afterAll, beforeAll, expect, test } from "vitest";
import {
  type AuthUnderTest,
  newEmail,
  PASSWORD,
  sessionIn,
  SITE,
  startAuthUnderTest,
} from "./testing/auth-under-test.ts";

let auth: AuthUnderTest;
beforeAll(async () => {
  auth = await startAuthUnderTest();
});
afterAll(() => auth.close());

/** Another six digits. */
const wrong = (code: string) => String((Number(code) + 1) % 1_000_000).padStart(6, "0");

async function fragmentOf(link: string): Promise<{ location: URL; values: Record<string, string> }> {
  const response = await fetch(link, { redirect: "manual" });
  expect(response.status).toBe(303);
  const location = new URL(response.headers.get("location") ?? "");
  return { location, values: Object.fromEntries(new URLSearchParams(location.hash.slice(1))) };
}

test("a code signs in a new user once, with its data, and confirms the e-mail", async () => {
  const email = newEmail();
  const { error } = await auth.client().auth.signInWithOtp({ email, options: { data: { name: "Otto" } } });
  expect(error).toBeNull();
  const { code: token, type } = await auth.mailTo(email);
  expect(type).toBe("signup");
  const { user } = sessionIn(await auth.client().auth.verifyOtp({ email, token, type: "email" }));
  expect(user).toMatchObject({ email, user_metadata: { name: "Otto", email_verified: true } });
  expect(user.email_confirmed_at).toBeDefined();
  const again = await auth.client().auth.verifyOtp({ email, token, type: "email" });
  expect(again.error).toMatchObject({ code: "otp_expired", status: 403 });
});

test("of many who use a code at once, one gets in", async () => {
  const email = newEmail();
  await auth.client().auth.signInWithOtp({ email });
  const { code: token } = await auth.mailTo(email);
  const answers = await Promise.all(
    Array.from({ length: 8 }, () => auth.client().auth.verifyOtp({ email, token, type: "email" })),
  );
  expect(answers.filter(({ data }) => data.session !== null)).toHaveLength(1);
});

test("a known user gets a sign-in code; the token hash works as well as the code", async () => {
  const email = newEmail();
  await auth.client().auth.signUp({ email, password: PASSWORD });
  await auth.client().auth.signInWithOtp({ email, options: { shouldCreateUser: false } });
  const { link, type } = await auth.mailTo(email);
  expect(type).toBe("magiclink");
  const token_hash = new URL(link).searchParams.get("token") ?? "";
  expect(sessionIn(await auth.client().auth.verifyOtp({ token_hash, type: "email" })).user.email).toBe(email);
});

test("a code for another e-mail, of another kind or from an earlier mail does not work", async () => {
  const email = newEmail();
  await auth.client().auth.signInWithOtp({ email });
  const first = await auth.mailTo(email);
  await auth.client().auth.signInWithOtp({ email });
  const { code: token } = await auth.mailTo(email);
  const attempts = [
    auth.client().auth.verifyOtp({ email: newEmail(), token, type: "email" }),
    auth.client().auth.verifyOtp({ email, token, type: "recovery" }),
    auth.client().auth.verifyOtp({ email, token: first.code === token ? wrong(token) : first.code, type: "email" }),
  ];
  for (const { error } of await Promise.all(attempts)) expect(error).toMatchObject({ code: "otp_expired" });
  sessionIn(await auth.client().auth.verifyOtp({ email, token, type: "email" }));
});

test("a code expires after an hour", async () => {
  const email = newEmail();
  await auth.client().auth.signInWithOtp({ email });
  const { code: token, link } = await auth.mailTo(email);
  await auth.database.owner.query(
    "update auth.one_time_tokens set created_at = created_at - interval '61 minutes' where relates_to = $1",
    [email],
  );
  expect((await auth.client().auth.verifyOtp({ email, token, type: "email" })).error).toMatchObject({
    code: "otp_expired",
  });
  expect((await fragmentOf(link)).values).toMatchObject({ error: "access_denied", error_code: "otp_expired" });
});

test("guessing a code ends after ten tries, even for the right one", async () => {
  const email = newEmail();
  await auth.client().auth.signInWithOtp({ email });
  const { code } = await auth.mailTo(email);
  for (let n = 0; n < 10; n += 1) {
    const { error } = await auth.client().auth.verifyOtp({ email, token: wrong(code), type: "email" });
    expect(error).toMatchObject({ code: "otp_expired" });
  }
  const right = await auth.client().auth.verifyOtp({ email, token: code, type: "email" });
  expect(right.error).toMatchObject({ code: "over_request_rate_limit", status: 429 });
});

test("an e-mail gets five mails in five minutes, whether it has a user or not", async () => {
  for (const ask of [
    (email: string) => auth.client().auth.signInWithOtp({ email }),
    (email: string) => auth.client().auth.resetPasswordForEmail(email),
  ]) {
    const email = newEmail();
    for (let n = 0; n < 5; n += 1) expect((await ask(email)).error).toBeNull();
    expect((await ask(email)).error).toMatchObject({ code: "over_email_send_rate_limit", status: 429 });
  }
});

test("nobody new is created, and nobody mailed, when the client wants known users only", async () => {
  const email = newEmail();
  const { error } = await auth.client().auth.signInWithOtp({ email, options: { shouldCreateUser: false } });
  expect(error).toMatchObject({ code: "otp_disabled" });
  expect(await auth.mailsTo(email)).toEqual([]);
});

test("a recovery link opens a session at the site, in which the password can be changed", async () => {
  const email = newEmail();
  await auth.client().auth.signUp({ email, password: PASSWORD });
  await auth.client().auth.resetPasswordForEmail(email, { redirectTo: `${SITE}/reset?step=2` });
  const { link } = await auth.mailTo(email);
  const { location, values } = await fragmentOf(link);
  expect(location.href.split("#")[0]).toBe(`${SITE}/reset?step=2`);
  expect(values).toMatchObject({ type: "recovery", token_type: "bearer", expires_in: "3600" });
  const client = auth.client();
  const { access_token = "", refresh_token = "" } = values;
  sessionIn(await client.auth.setSession({ access_token, refresh_token }));
  expect((await client.auth.updateUser({ password: "after the reset" })).error).toBeNull();
  sessionIn(await auth.client().auth.signInWithPassword({ email, password: "after the reset" }));
  expect((await fragmentOf(link)).values).toMatchObject({ error_code: "otp_expired" });
});

test("a new password takes back codes that were under way", async () => {
  const email = newEmail();
  const client = auth.client();
  sessionIn(await client.auth.signUp({ email, password: PASSWORD }));
  await auth.client().auth.resetPasswordForEmail(email);
  const { code: token } = await auth.mailTo(email);
  await client.auth.updateUser({ password: "changed meanwhile" });
  const { error } = await auth.client().auth.verifyOtp({ email, token, type: "recovery" });
  expect(error).toMatchObject({ code: "otp_expired" });
});

test("asking to recover an unknown e-mail answers the same and sends nothing", async () => {
  const email = newEmail();
  expect((await auth.client().auth.resetPasswordForEmail(email)).error).toBeNull();
  expect(await auth.mailsTo(email)).toEqual([]);
});

test.each([
  ["http://127.0.0.1:3000/welcome", "http://127.0.0.1:3000/welcome"],
  ["https://evil.example/", `${SITE}/`],
  ["http://localhost:3000@evil.example/", `${SITE}/`],
  ["http://localhost:3000.evil.example/", `${SITE}/`],
  ["http://localhost:3001/", `${SITE}/`],
  ["javascript:alert(1)", `${SITE}/`],
  ["//evil.example", `${SITE}/`],
])("a link that should lead to %s leads to %s", async (redirectTo, target) => {
  const email = newEmail();
  await auth.client().auth.signInWithOtp({ email, options: { emailRedirectTo: redirectTo } });
  const link = new URL((await auth.mailTo(email)).link);
  // The one who follows the link may have changed it.
  link.searchParams.set("redirect_to", redirectTo);
  const { location } = await fragmentOf(link.href);
  expect(location.href.split("#")[0]).toBe(target);
});

test("with PKCE the link carries a code that only the client that asked can exchange", async () => {
  const email = newEmail();
  const client = auth.client({ flowType: "pkce" });
  await client.auth.signInWithOtp({ email });
  const { location } = await fragmentOf((await auth.mailTo(email)).link);
  expect(location.hash).toBe("");
  const code = location.searchParams.get("code") ?? "";
  const stranger = await auth.request("/token?grant_type=pkce", {
    method: "POST",
    body: JSON.stringify({ auth_code: code, code_verifier: "x".repeat(43) }),
  });
  expect(await stranger.json()).toMatchObject({ error_code: "bad_code_verifier" });
  expect(sessionIn(await client.auth.exchangeCodeForSession(code)).user.email).toBe(email);
  const again = await auth.request("/token?grant_type=pkce", {
    method: "POST",
    body: JSON.stringify({ auth_code: code, code_verifier: "x".repeat(43) }),
  });
  expect(again.status).toBe(404);
});

test("a new e-mail address counts once its mailbox answered", async () => {
  const client = auth.client();
  const [email, next] = [newEmail(), newEmail()];
  sessionIn(await client.auth.signUp({ email, password: PASSWORD }));
  const { data } = await client.auth.updateUser({ email: next });
  expect(data.user).toMatchObject({ email, new_email: next });
  const { code: token } = await auth.mailTo(next);
  const { user } = sessionIn(await auth.client().auth.verifyOtp({ email: next, token, type: "email_change" }));
  expect(user).toMatchObject({ email: next, identities: [{ identity_data: { email: next } }] });
  expect(user.new_email).toBeUndefined();
  sessionIn(await auth.client().auth.signInWithPassword({ email: next, password: PASSWORD }));
});

test("somebody else's e-mail cannot be taken over", async () => {
  const [email, taken] = [newEmail(), newEmail()];
  await auth.client().auth.signUp({ email: taken, password: PASSWORD });
  const client = auth.client();
  sessionIn(await client.auth.signUp({ email, password: PASSWORD }));
  expect((await client.auth.updateUser({ email: taken })).error).toMatchObject({ code: "email_exists", status: 422 });
});

test("the outbox page shows mails to people, escaped", async () => {
  await auth.client().auth.signInWithOtp({ email: "a&b@example.test" });
  const page = await fetch(`${auth.url}/outbox`);
  expect(page.headers.get("content-type")).toContain("text/html");
  const html = await page.text();
  expect(html).toContain("a&amp;b@example.test");
  expect(html).toContain((await auth.mailTo("a&b@example.test")).code);
});
