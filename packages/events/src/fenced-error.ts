/**
 * This writer's time is over: a later attempt has written (`superseded`), or the log has its end from somebody else (`closed`). Nothing of
 * the failed call is in the log. Whoever gets this stops working on the run.
 */
export class FencedError extends Error {
  override readonly name = "FencedError";
  readonly reason: "superseded" | "closed";

  constructor(runId: string, attempt: number, reason: "superseded" | "closed") {
    super(
      reason === "closed" ? `the log of run ${runId} is closed` : `attempt ${attempt} of run ${runId} is superseded`,
    );
    this.reason = reason;
  }
}
