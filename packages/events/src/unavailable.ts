import { AppError } from "@cortex/contracts";

/** What a follower is told when the log cannot be read: come back later. A failure that has a meaning keeps it. */
export const unavailable = (cause: unknown): AppError =>
  cause instanceof AppError
    ? cause
    : new AppError("unavailable", "The live log cannot be read right now.", {}, { cause });
