import { eventually } from "@cortex/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type AuthUnderTest, newEmail, PASSWORD, sessionIn, startAuthUnderTest } from "./testing/auth-under-test.ts";

let auth: AuthUnderTest;
beforeAll(async () => {
  auth = await startAuthUnderTest();
});
afterAll(() => auth.close());

async function newSession() {
  return sessionIn(await auth.client().auth.signUp({ email: newEmail(), password: PASSWORD }));
}

/** Without supabase-js, which tries again when the server fails. */
const refreshRaw = (refresh_token: string) =>
  auth.request("/token?grant_type=refresh_token", { method: "POST", body: JSON.stringify({ refresh_token }) });

const refresh = (refresh_token: string) => auth.client().auth.refreshSession({ refresh_token });

/** Lets the spent tokens of a user be spent for longer than they are. */
async function age(userId: string, seconds: number): Promise<void> {
  await auth.database.owner.query(
    "update auth.refresh_tokens set updated_at = updated_at - make_interval(secs => $2) where user_id = $1 and revoked",
    [userId, seconds],
  );
}

test("a refresh gives a new refresh token and a token of the same session", async () => {
  const client = auth.client();
  const first = sessionIn(await client.auth.signUp({ email: newEmail(), password: PASSWORD }));
  const before = (await client.auth.getClaims()).data?.claims;
  const second = sessionIn(await client.auth.refreshSession());
  const after = (await client.auth.getClaims()).data?.claims;
  expect(second.refresh_token).not.toBe(first.refresh_token);
  expect(after).toMatchObject({ session_id: before?.session_id, amr: before?.amr, sub: before?.sub });
});

test("a refresh sees what changed about the user", async () => {
  const { user, refresh_token } = await newSession();
  await auth.admin().auth.admin.updateUserById(user.id, { app_metadata: { plan: "pro" } });
  expect(sessionIn(await refresh(refresh_token)).user.app_metadata).toMatchObject({ plan: "pro" });
});

test("ten refreshes of one token at once end with one and the same successor", async () => {
  const { refresh_token, user } = await newSession();
  const answers = await Promise.all(Array.from({ length: 10 }, () => refreshRaw(refresh_token)));
  expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
  const sessions = (await Promise.all(answers.map((answer) => answer.json()))) as { refresh_token: string }[];
  const successors = new Set(sessions.map((session) => session.refresh_token));
  expect(successors.size).toBe(1);
  const { rows } = await auth.database.owner.query(
    "select 1 from auth.refresh_tokens where user_id = $1 and not revoked",
    [user.id],
  );
  expect(rows).toHaveLength(1);
});

test("within the grace a spent token leads to the newest token, however many refreshes later", async () => {
  const first = await newSession();
  const second = sessionIn(await refresh(first.refresh_token));
  const third = sessionIn(await refresh(second.refresh_token));
  await age(first.user.id, 9);
  expect(sessionIn(await refresh(first.refresh_token)).refresh_token).toBe(third.refresh_token);
});

test("a spent token after the grace ends the session for everybody who holds it", async () => {
  const thief = await newSession();
  const owner = sessionIn(await refresh(thief.refresh_token));
  await age(thief.user.id, 11);
  expect((await refresh(thief.refresh_token)).error).toMatchObject({ code: "refresh_token_already_used", status: 400 });
  expect((await refresh(owner.refresh_token)).error).toMatchObject({ code: "refresh_token_not_found" });
  expect((await auth.client().auth.getUser(owner.access_token)).error?.name).toBe("AuthSessionMissingError");
});

test("reuse leaves the user's other sessions alone", async () => {
  const robbed = await newSession();
  const other = sessionIn(
    await auth.client().auth.signInWithPassword({ email: robbed.user.email ?? "", password: PASSWORD }),
  );
  await refresh(robbed.refresh_token);
  await age(robbed.user.id, 11);
  await refresh(robbed.refresh_token);
  expect((await auth.client().auth.getUser(other.access_token)).error).toBeNull();
});

test.each(["", "nonsense", "x".repeat(5_000)])("an unknown refresh token is refused (%#)", async (refresh_token) => {
  expect((await refreshRaw(refresh_token)).status).toBe(400);
});

test("a session beyond its end is over", async () => {
  const { access_token, refresh_token, user } = await newSession();
  await auth.database.owner.query("update auth.sessions set not_after = now() where user_id = $1", [user.id]);
  expect((await refresh(refresh_token)).error).toMatchObject({ code: "session_expired" });
  expect((await auth.client().auth.getUser(access_token)).error?.name).toBe("AuthSessionMissingError");
});

test("signing out while refreshing neither deadlocks nor leaves a session", async () => {
  for (let round = 0; round < 40; round += 1) {
    const { refresh_token, access_token } = sessionIn(await auth.client().auth.signInAnonymously());
    const signOut = () =>
      auth.request("/logout", { method: "POST", headers: { authorization: `Bearer ${access_token}` } });
    const answers = await Promise.all([refreshRaw(refresh_token), signOut(), refreshRaw(refresh_token)]);
    expect(answers[1].status).toBe(204);
    for (const answer of [answers[0], answers[2]]) expect([200, 400]).toContain(answer.status);
    expect((await auth.client().auth.getUser(access_token)).error?.name).toBe("AuthSessionMissingError");
  }
});

test("a refresh waits for a sign-out without holding what that still needs", async () => {
  const { refresh_token, user } = sessionIn(await auth.client().auth.signInAnonymously());
  const signingOut = await auth.database.owner.connect();
  try {
    await signingOut.query("begin");
    await signingOut.query("select 1 from auth.sessions where user_id = $1 for update", [user.id]);
    const refreshing = refreshRaw(refresh_token);
    await eventually(async () => {
      const waiting = "select 1 from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()";
      return (await auth.database.owner.query(waiting)).rowCount;
    });
    await signingOut.query("delete from auth.sessions where user_id = $1", [user.id]);
    await signingOut.query("commit");
    expect((await refreshing).status).toBe(400);
  } finally {
    signingOut.release(true);
  }
});

test("spent tokens are forgotten after a day", async () => {
  const first = await newSession();
  const second = sessionIn(await refresh(first.refresh_token));
  await age(first.user.id, 25 * 3600);
  await refresh(second.refresh_token);
  expect((await refresh(first.refresh_token)).error).toMatchObject({ code: "refresh_token_not_found" });
});
