import { setTimeout as delay } from "node:timers/promises";

/**
 * Polls until `attempt` returns something truthy without throwing, and returns that. After `timeoutMs` (default 15 s: a process may
 * start within it on a machine that is busy with the rest of the suite) it throws the last failure, so that the assertion inside says what
 * was missing.
 */
export async function eventually<Value>(
  attempt: () => Value | Promise<Value>,
  options: { timeoutMs?: number; intervalMs?: number } = {},
): Promise<NonNullable<Value>> {
  const { timeoutMs = 15_000, intervalMs = 10 } = options;
  const end = performance.now() + timeoutMs;
  for (;;) {
    let failure: unknown;
    try {
      const value = await attempt();
      if (value) return value;
      failure = new Error(`the condition stayed ${String(value)}`);
    } catch (error) {
      failure = error;
    }
    if (performance.now() > end)
      throw new Error(`not within ${timeoutMs} ms: ${describe(failure)}`, { cause: failure });
    await delay(intervalMs);
  }
}

function describe(failure: unknown): string {
  return failure instanceof Error ? failure.message : String(failure);
}
