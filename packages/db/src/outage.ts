/**
 * SQLSTATEs that say that the server is not there for us now: connection failures, shutdown and crash, no more connections or memory, a
 * transaction that was idle for too long; and that it took too long: a statement that timed out, a lock that was not to be had.
 */
const passing = /^(08\w{3}|57P0[1-5]|53\w{3}|25P0[34]|57014|55P03)$/;

/** What Node says of a connection that is not. */
const network = new Set([
  "ECONNREFUSED",
  "ECONNRESET",
  "EPIPE",
  "ETIMEDOUT",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "ENOTFOUND",
  "EAI_AGAIN",
]);

/** The driver and its pool throw these without a code. */
const withoutCode =
  /^(timeout exceeded when trying to connect|timeout expired|Connection terminated.*|Client has encountered a connection error.*|Client was closed.*|Postgres was silent for \d+ ms)$/;

/** The answer to a commit was lost: whether the transaction took effect is not known. */
export class CommitUnknown extends Error {
  override readonly name = "CommitUnknown";
  constructor(cause: unknown) {
    super("the answer to a commit was lost", { cause });
  }
}

/**
 * Is this Postgres not answering, or not in time? The same statement may succeed later. Whether a single statement took effect is as little
 * known as with `CommitUnknown`.
 */
export const isOutage = (error: unknown): boolean => {
  if (error instanceof AggregateError) return error.errors.some(isOutage);
  if (!(error instanceof Error)) return false;
  if (error instanceof CommitUnknown) return true;
  const code = "code" in error && typeof error.code === "string" ? error.code : "";
  return passing.test(code) || network.has(code) || withoutCode.test(error.message);
};
