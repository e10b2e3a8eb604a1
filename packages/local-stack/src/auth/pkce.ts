import { createHash, randomUUID, timingSafeEqual } from "node:crypto";
import { findOne, type Queryable } from "./database.ts";
import { AuthFailure } from "./failure.ts";
import type { MailType } from "./outbox.ts";
import type { RequestBody } from "./request-body.ts";

/**
 * PKCE for links in mails (RFC 7636): a client that sent a challenge gets no session from its link but a code, which only it can
 * exchange, because only it knows the verifier.
 */

/** Marks the token of a link that answers with a code. */
export const PKCE_PREFIX = "pkce_";

/** From the mail to the click: as long as the mail's own code works. */
const CHALLENGE_LIFETIME = "1 hour";
/** From the click to the exchange, which follows at once. */
const CODE_LIFETIME = "5 minutes";

export interface Challenge {
  method: "s256" | "plain";
  value: string;
}

/** The challenge of a request, or null. @throws AuthFailure `validation_failed` for half of one or a malformed one */
export function readChallenge(body: RequestBody): Challenge | null {
  const value = body.text("code_challenge");
  const method = body.text("code_challenge_method")?.toLowerCase() ?? null;
  if (value === null && method === null) return null;
  if (value === null || (method !== "s256" && method !== "plain")) {
    throw new AuthFailure(400, "validation_failed", "PKCE flow requires code_challenge_method and code_challenge");
  }
  if (!/^[a-zA-Z0-9._~-]{43,128}$/.test(value)) {
    throw new AuthFailure(
      400,
      "validation_failed",
      "code challenge has to be between 43 and 128 unreserved characters",
    );
  }
  return { method, value };
}

/** Keeps the challenge until the link is clicked. */
export async function rememberChallenge(
  db: Queryable,
  input: { userId: string; type: MailType; challenge: Challenge },
): Promise<void> {
  await db.query(
    `insert into auth.flow_state (id, user_id, auth_code, code_challenge_method, code_challenge, provider_type,
                                  authentication_method, created_at, updated_at)
     values ($1, $2, $3, $4, $5, 'email', $6, now(), now())`,
    [randomUUID(), input.userId, randomUUID(), input.challenge.method, input.challenge.value, input.type],
  );
}

/** The code that a clicked link hands to the client. @throws AuthFailure `flow_state_not_found` */
export async function issueAuthCode(tx: Queryable, input: { userId: string; type: string }): Promise<string> {
  const issued = await findOne<{ auth_code: string }>(
    tx,
    `update auth.flow_state set auth_code_issued_at = now(), updated_at = now()
      where id = (select id from auth.flow_state
                   where user_id = $1 and authentication_method = $2 and auth_code_issued_at is null
                     and created_at > now() - interval '${CHALLENGE_LIFETIME}'
                   order by created_at desc limit 1)
     returning auth_code`,
    [input.userId, input.type],
  );
  if (issued === null) throw new AuthFailure(422, "flow_state_not_found", "No valid flow state found for user.");
  return issued.auth_code;
}

/**
 * Uses an auth code up. Run it in a transaction: a refused verifier leaves the code for its rightful owner.
 * @returns the user's id. @throws AuthFailure `flow_state_not_found` or `bad_code_verifier`
 */
export async function exchangeAuthCode(tx: Queryable, input: { authCode: string; verifier: string }): Promise<string> {
  const flow = await findOne<{ user_id: string; method: Challenge["method"]; challenge: string }>(
    tx,
    `delete from auth.flow_state where auth_code = $1 and auth_code_issued_at > now() - interval '${CODE_LIFETIME}'
     returning user_id, code_challenge_method as method, code_challenge as challenge`,
    [input.authCode],
  );
  if (flow === null) {
    throw new AuthFailure(404, "flow_state_not_found", "invalid flow state, no valid flow state found");
  }
  const answer = flow.method === "plain" ? input.verifier : sha256(input.verifier).toString("base64url");
  // Compared by digest, because timingSafeEqual wants equal lengths.
  if (!timingSafeEqual(sha256(answer), sha256(flow.challenge))) {
    throw new AuthFailure(400, "bad_code_verifier", "code challenge does not match previously saved code verifier");
  }
  return flow.user_id;
}

function sha256(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
