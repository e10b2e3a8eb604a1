import { afterAll, beforeAll, expect, test } from "vitest";
import { type AuthUnderTest, newEmail, PASSWORD, sessionIn, startAuthUnderTest } from "./testing/auth-under-test.ts";

let auth: AuthUnderTest;
beforeAll(async () => {
  auth = await startAuthUnderTest({ confirmEmail: true });
});
afterAll(() => auth.close());

test("a sign-up waits for its confirmation", async () => {
  const email = newEmail();
  const { data } = await auth.client().auth.signUp({ email, password: PASSWORD });
  expect(data).toMatchObject({ session: null, user: { email } });
  const early = await auth.client().auth.signInWithPassword({ email, password: PASSWORD });
  expect(early.error).toMatchObject({ code: "email_not_confirmed", status: 400 });
  const { code: token } = await auth.mailTo(email);
  sessionIn(await auth.client().auth.verifyOtp({ email, token, type: "signup" }));
  sessionIn(await auth.client().auth.signInWithPassword({ email, password: PASSWORD }));
});

test("only who knows the password learns that the e-mail is not confirmed", async () => {
  const email = newEmail();
  await auth.client().auth.signUp({ email, password: PASSWORD });
  const { error } = await auth.client().auth.signInWithPassword({ email, password: "wrong" });
  expect(error).toMatchObject({ code: "invalid_credentials" });
});

test("a confirmation can be sent again, and the earlier one ends", async () => {
  const email = newEmail();
  await auth.client().auth.signUp({ email, password: PASSWORD });
  const first = await auth.mailTo(email);
  expect((await auth.client().auth.resend({ type: "signup", email })).error).toBeNull();
  const second = await auth.mailTo(email);
  const hashOf = (link: string) => new URL(link).searchParams.get("token") ?? "";
  const old = await auth.client().auth.verifyOtp({ token_hash: hashOf(first.link), type: "signup" });
  expect(old.error).toMatchObject({ code: "otp_expired" });
  sessionIn(await auth.client().auth.verifyOtp({ token_hash: hashOf(second.link), type: "signup" }));
});

test("a sign-up of a taken e-mail looks like any other, changes nothing and mails nobody", async () => {
  const email = newEmail();
  await auth.client().auth.signUp({ email, password: PASSWORD });
  const mail = await auth.mailTo(email);
  const { user } = sessionIn(await auth.client().auth.verifyOtp({ email, token: mail.code, type: "signup" }));
  const { data, error } = await auth.client().auth.signUp({ email, password: "somebody else's" });
  expect(error).toBeNull();
  expect(data).toMatchObject({ session: null, user: { email, identities: [] } });
  expect(data.user?.id).not.toBe(user.id);
  expect(await auth.mailsTo(email)).toEqual([mail]);
  sessionIn(await auth.client().auth.signInWithPassword({ email, password: PASSWORD }));
});

test("a change of e-mail needs the old and the new mailbox", async () => {
  const [email, next] = [newEmail(), newEmail()];
  await auth.client().auth.signUp({ email, password: PASSWORD });
  const client = auth.client();
  const { code } = await auth.mailTo(email);
  sessionIn(await client.auth.verifyOtp({ email, token: code, type: "signup" }));
  await client.auth.updateUser({ email: next });
  const verify = async (address: string) => {
    const { code: token } = await auth.mailTo(address);
    return auth.client().auth.verifyOtp({ email: address, token, type: "email_change" });
  };
  expect((await verify(next)).data.session).toBeNull();
  expect((await client.auth.getUser()).data.user?.email).toBe(email);

  // Asking again starts over: the new mailbox cannot answer twice and stand for both.
  await auth.client().auth.resend({ type: "email_change", email });
  expect((await verify(next)).data.session).toBeNull();
  expect((await client.auth.getUser()).data.user?.email).toBe(email);

  expect(sessionIn(await verify(email)).user.email).toBe(next);
});
