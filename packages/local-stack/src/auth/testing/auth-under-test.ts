import { silentLogger } from "@cortex/observability";
import { createTestDatabase, createTestFolder, type TestDatabase } from "@cortex/testing";
import { createClient, type SupabaseClient } from "@supabase/supabase-js";
import type { Mail } from "../outbox.ts";
import { type AuthServer, type AuthServerOptions, startAuthServer } from "../server.ts";

export const SITE = "http://localhost:3000";
export const PASSWORD = "correct horse battery";

/** A running server with a database and keys of its own. */
export interface AuthUnderTest extends AuthServer {
  database: TestDatabase;
  home: string;
  /** A real supabase-js client: by default a new browser with the publishable key. */
  client(options?: { key?: string; flowType?: "implicit" | "pkce" }): SupabaseClient;
  /** The same with the secret key. */
  admin(): SupabaseClient;
  /** The newest mail to an address. Fails when there is none. */
  mailTo(email: string): Promise<Mail>;
  mailsTo(email: string): Promise<Mail[]>;
  /** A plain request to a path below `/auth/v1`, with the publishable key. */
  request(path: string, init?: RequestInit): Promise<Response>;
}

export async function startAuthUnderTest(options: Partial<AuthServerOptions> = {}): Promise<AuthUnderTest> {
  const database = await createTestDatabase();
  const home = options.home ?? createTestFolder();
  const server = await startAuthServer({
    databaseUrl: database.ownerUrl,
    port: 0,
    home,
    siteUrl: SITE,
    allowedOrigins: ["http://127.0.0.1:3000"],
    log: silentLogger(),
    ...options,
  });
  const client = ({
    key = server.publishableKey,
    flowType = "implicit",
  }: { key?: string; flowType?: "implicit" | "pkce" } = {}) =>
    createClient(server.url, key, {
      auth: { persistSession: false, autoRefreshToken: false, detectSessionInUrl: false, flowType },
    });
  const mailsTo = async (email: string): Promise<Mail[]> => {
    const response = await fetch(`${server.url}/outbox.json?to=${encodeURIComponent(email)}`);
    const { mails } = (await response.json()) as { mails: Mail[] };
    return mails;
  };
  return {
    ...server,
    database,
    home,
    client,
    admin: () => client({ key: server.secretKey }),
    mailsTo,
    async mailTo(email) {
      const [mail] = await mailsTo(email);
      if (mail === undefined) throw new Error(`no mail to ${email}`);
      return mail;
    },
    request: (path, init = {}) =>
      fetch(`${server.url}/auth/v1${path}`, {
        redirect: "manual",
        ...init,
        headers: { apikey: server.publishableKey, ...(init.headers as Record<string, string> | undefined) },
      }),
    async close() {
      await server.close();
      await database.drop();
    },
  };
}

let people = 0;

/** An e-mail nobody else in this file has. */
export function newEmail(): string {
  people += 1;
  return `person-${people}@example.test`;
}

/** The session that an answer must carry. */
export function sessionIn<Session>(answer: { data: { session: Session | null }; error: Error | null }): Session {
  if (answer.error !== null) throw answer.error;
  if (answer.data.session === null) throw new Error("the answer holds no session");
  return answer.data.session;
}
