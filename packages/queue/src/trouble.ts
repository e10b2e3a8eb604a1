import { ErrorCode } from "bullmq";

/** What the errors of BullMQ mean to us. */
export type Trouble =
  /** The queue has given the job to somebody else, or finished with it: nothing to be done about it here. */
  | "not ours"
  /** Redis answered, and refuses. */
  | "refused"
  /** Redis cannot be reached, or what we have not thought of. */
  | "other";

/** Of a move or an acknowledgement that came after the lock was lost. */
const goneCodes: readonly unknown[] = [
  ErrorCode.JobNotExist,
  ErrorCode.JobLockNotExist,
  ErrorCode.JobNotInState,
  ErrorCode.JobLockMismatch,
];

export const troubleOf = (error: unknown): Trouble => {
  if (!(error instanceof Error)) return "other";
  if ("code" in error && goneCodes.includes(error.code)) return "not ours";
  // The lock manager reports a renewal that Redis refused as a text of its own.
  if (error.message.startsWith("could not renew lock")) return "not ours";
  return error.name === "ReplyError" ? "refused" : "other";
};
