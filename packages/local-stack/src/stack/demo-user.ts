import { createClient } from "@supabase/supabase-js";
import { StackError } from "../stack-error.ts";

export type DemoUser = { email: string; password: string };

const DEMO_EMAIL = "demo@example.com";

/** Supabase's client without what belongs in a browser: it keeps nothing and refreshes nothing by itself. */
function connect(url: string, key: string) {
  return createClient(url, key, { auth: { persistSession: false, autoRefreshToken: false } });
}

/**
 * Makes sure that the demo user exists and has this password, through the admin API that production has too. Its account
 * and agent are made by the database. Error `start_failed`.
 */
export async function ensureDemoUser(input: {
  supabaseUrl: string;
  secretKey: string;
  password: string;
}): Promise<DemoUser> {
  const { admin } = connect(input.supabaseUrl, input.secretKey).auth;
  const user = { email: DEMO_EMAIL, password: input.password, email_confirm: true };
  const created = await admin.createUser(user);
  if (created.error === null) return { email: user.email, password: user.password };
  if (created.error.code !== "email_exists" && created.error.code !== "user_already_exists")
    throw refused(created.error);
  // There already: its password is ours again only if somebody changed it.
  if (await canSignIn(input)) return { email: user.email, password: user.password };
  for (let page = 1; ; page++) {
    const { data, error } = await admin.listUsers({ page, perPage: 200 });
    if (error !== null) throw refused(error);
    const known = data.users.find((one) => one.email === DEMO_EMAIL);
    if (known !== undefined) {
      const updated = await admin.updateUserById(known.id, { password: input.password, email_confirm: true });
      if (updated.error !== null) throw refused(updated.error);
      return { email: user.email, password: user.password };
    }
    if (data.users.length < 200) throw refused(created.error);
  }
}

async function canSignIn(input: { supabaseUrl: string; secretKey: string; password: string }): Promise<boolean> {
  const { auth } = connect(input.supabaseUrl, input.secretKey);
  const { error } = await auth.signInWithPassword({ email: DEMO_EMAIL, password: input.password });
  return error === null;
}

/** An access token of the demo user, for an hour. Error `start_failed`. */
export async function signIn(input: { supabaseUrl: string; publishableKey: string; user: DemoUser }): Promise<string> {
  const { auth } = connect(input.supabaseUrl, input.publishableKey);
  const { data, error } = await auth.signInWithPassword(input.user);
  if (error !== null) throw refused(error);
  return data.session.access_token;
}

function refused(error: Error): StackError {
  return new StackError(
    "start_failed",
    `The demo user could not be set up or signed in (${error.message}): see the auth server's log.`,
    { cause: error },
  );
}
