import { createRateLimit, type RateLimit } from "./rate-limit.ts";

/** Who tries: the e-mail that the request names, and the IP of the peer. */
export interface Attempter {
  email: string;
  address: string;
}

/** One try: counted before it is made, so that many at once are counted too, and given back when it proved honest. */
export interface Attempt {
  /** @throws AuthFailure 429 */
  take(): void;
  refund(): void;
}

/** What may be tried on this machine, per e-mail and per address. In memory: gone with the process. */
export interface AuthLimits {
  passwordAttempt(by: Attempter): Attempt;
  codeAttempt(by: Attempter): Attempt;
  /** Counts a mail before anything is looked up: it costs the same whether the e-mail has a user or not. @throws AuthFailure 429 */
  takeMail(by: Attempter): void;
  /** Counts a new user. @throws AuthFailure 429 */
  takeSignUp(by: Pick<Attempter, "address">): void;
}

const REQUESTS = { code: "over_request_rate_limit", message: "Request rate limit reached" } as const;
const MAILS = { code: "over_email_send_rate_limit", message: "Email rate limit exceeded" } as const;

/**
 * The limits per address are wide, because everybody here has the same one. A code is one of 1,000,000 and lives an hour: 10 tries in 10
 * minutes are at most 60 in its life.
 */
export function createAuthLimits(): AuthLimits {
  const passwordsPerEmail = createRateLimit({ ...REQUESTS, limit: 10, windowSeconds: 300 });
  const passwordsPerAddress = createRateLimit({ ...REQUESTS, limit: 300, windowSeconds: 300 });
  const codesPerEmail = createRateLimit({ ...REQUESTS, limit: 10, windowSeconds: 600 });
  const codesPerAddress = createRateLimit({ ...REQUESTS, limit: 300, windowSeconds: 600 });
  const mailsPerEmail = createRateLimit({ ...MAILS, limit: 5, windowSeconds: 300 });
  const mailsPerAddress = createRateLimit({ ...MAILS, limit: 500, windowSeconds: 300 });
  const signUpsPerAddress = createRateLimit({ ...REQUESTS, limit: 1000, windowSeconds: 300 });

  return {
    passwordAttempt: ({ email, address }) => attemptOf(passwordsPerEmail, email, passwordsPerAddress, address),
    codeAttempt: ({ email, address }) => attemptOf(codesPerEmail, email, codesPerAddress, address),
    takeMail: ({ email, address }) => attemptOf(mailsPerEmail, email, mailsPerAddress, address).take(),
    takeSignUp: ({ address }) => signUpsPerAddress.take(address),
  };
}

function attemptOf(perEmail: RateLimit, email: string, perAddress: RateLimit, address: string): Attempt {
  return {
    take() {
      // The e-mail first: who is refused for one e-mail must not use up the address, which everybody here shares.
      perEmail.take(email);
      perAddress.take(address);
    },
    refund() {
      perEmail.refund(email);
      perAddress.refund(address);
    },
  };
}
