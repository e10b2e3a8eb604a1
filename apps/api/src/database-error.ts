import { AppError } from "@cortex/contracts";
import { CommitUnknown, isOutage } from "@cortex/db";

/**
 * What a caller is told about a failure of a store: row-level security's refusal is `forbidden`, a store that does not answer (in time) is
 * `unavailable`. Null: neither, so it is a bug.
 */
export const classifyDatabaseError = (error: unknown): AppError | null => {
  if (error instanceof Error && "code" in error && error.code === "42501")
    return new AppError("forbidden", "Your role in this account does not allow this.", {}, { cause: error });
  if (error instanceof CommitUnknown) {
    const detail =
      "The database broke off while it stored this: it may have been done. With an Idempotency-Key the same request may simply be sent " +
      "again; otherwise look first.";
    return new AppError("unavailable", detail, {}, { cause: error });
  }
  if (isOutage(error) || isRedisGone(error)) {
    return new AppError(
      "unavailable",
      "A service that this needs does not answer at the moment.",
      {},
      { cause: error },
    );
  }
  return null;
};

/** What Redis' client throws without a code. */
const isRedisGone = (error: unknown): boolean => error instanceof Error && error.message === "Connection is closed.";
