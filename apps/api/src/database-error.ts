import { AppError } from "@cortex/contracts";

/** SQLSTATEs that say that the server is not there for us now: connection failures, shutdown, no more connections, a timeout. */
const outage = /^(08\w{3}|57P0[1-4]|53\w{3}|57014)$/;

/** What Node says of a connection that is not. */
const network = new Set(["ECONNREFUSED", "ECONNRESET", "EPIPE", "ETIMEDOUT", "EHOSTUNREACH", "ENOTFOUND", "EAI_AGAIN"]);

/** The driver and the pool throw these without a code. */
const withoutCode =
  /^(timeout exceeded when trying to connect|Connection terminated|Connection terminated unexpectedly|Connection terminated due to connection timeout|Connection is closed\.|Client has encountered a connection error.*)$/;

/**
 * What a caller is told about a failure of a store: row-level security's refusal is `forbidden`, a store that does not answer is
 * `unavailable`. Null: neither, so it is a bug.
 */
export const classifyDatabaseError = (error: unknown): AppError | null => {
  if (error instanceof AggregateError)
    return error.errors.map(classifyDatabaseError).find((known) => known !== null) ?? null;
  if (!(error instanceof Error)) return null;
  const code = "code" in error && typeof error.code === "string" ? error.code : "";
  if (code === "42501")
    return new AppError("forbidden", "Your role in this account does not allow this.", {}, { cause: error });
  if (outage.test(code) || network.has(code) || withoutCode.test(error.message)) {
    return new AppError(
      "unavailable",
      "A service that this needs does not answer at the moment.",
      {},
      { cause: error },
    );
  }
  return null;
};
