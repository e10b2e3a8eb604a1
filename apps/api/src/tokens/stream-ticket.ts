import { createSecretKey } from "node:crypto";
import { AccountId, AppError, RunId, type StreamTicket, UserId } from "@cortex/contracts";
import { errors, jwtVerify, SignJWT } from "jose";
import { z } from "zod";

/** What a ticket is good for: one run's stream, asked for by one user who acts for one account (null: whichever they are a member of). */
export interface TicketHolder {
  userId: string;
  accountId: string | null;
  runId: string;
  /** In seconds since 1970. */
  expiresAt: number;
}

export interface StreamTickets {
  issue(holder: Omit<TicketHolder, "expiresAt">): Promise<StreamTicket>;
  /** @throws AppError `unauthenticated`, whatever is wrong with it */
  verify(ticket: string): Promise<TicketHolder>;
}

/**
 * How long an address with a ticket in it works. Long enough for a browser to reconnect by itself over a bad line, short because an address
 * ends up in histories and in the logs of proxies. An access token that ends meanwhile is outlived by this much at most: a ticket cannot buy
 * another one.
 */
const lifeSeconds = 600;

/** A ticket has about 300 characters. Decoders forgive more than is ever issued. */
const ticketText = /^[\w-]{1,100}\.[\w-]{1,800}\.[\w-]{1,100}$/;

/** Neither an access token nor anything else that may once be signed with the same secret is taken for a ticket. */
const audience = "cortex-stream";

const Claims = z.object({
  sub: UserId,
  account: AccountId.nullable(),
  run: RunId,
  exp: z.int(),
});

/**
 * Tickets are signed and stored nowhere, so every API process with the same secret takes them and a lost Redis loses none.
 * What they allow is asked anew at each connection.
 * @param secret at least 32 characters, for this purpose alone
 */
export const createStreamTickets = (secret: string, now: () => Date = () => new Date()): StreamTickets => {
  const key = createSecretKey(secret, "utf8");
  return {
    issue: async ({ userId, accountId, runId }) => {
      const issuedAt = Math.floor(now().getTime() / 1_000);
      const expiresAt = issuedAt + lifeSeconds;
      const ticket = await new SignJWT({ account: accountId, run: runId })
        .setProtectedHeader({ alg: "HS256" })
        .setSubject(userId)
        .setAudience(audience)
        .setIssuedAt(issuedAt)
        .setExpirationTime(expiresAt)
        .sign(key);
      return { ticket, expires_at: new Date(expiresAt * 1_000).toISOString() };
    },

    verify: async (ticket) => {
      try {
        if (!ticketText.test(ticket)) throw new TypeError("no ticket looks like that");
        const options = { algorithms: ["HS256"], audience, currentDate: now() };
        const claims = Claims.parse((await jwtVerify(ticket, key, options)).payload);
        return { userId: claims.sub, accountId: claims.account, runId: claims.run, expiresAt: claims.exp };
      } catch (error) {
        const refused = error instanceof errors.JOSEError || error instanceof z.ZodError || error instanceof TypeError;
        if (refused) throw new AppError("unauthenticated", "Not authenticated.", {}, { cause: error });
        throw error;
      }
    },
  };
};
