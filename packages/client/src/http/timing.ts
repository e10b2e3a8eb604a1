/** How patient a client is. All in milliseconds; the defaults fit the API as it is shipped. */
export interface ClientTiming {
  /** One try of a call, from its first byte out to its last byte in. Above the API's own bound for a statement (5 s). */
  answerMs: number;
  /** Calls that may be repeated are tried so often in all. */
  tries: number;
  /** First wait of a retry; doubles. */
  retryMs: number;
  /** The longest wait of a retry. If the API asks for more, the caller gets the failure (and its `retryAfterMs`) instead of a long silence. */
  longestRetryMs: number;
  /** A stream that is silent for so long is dead. Three heartbeats: the API sends one every 15 s. */
  silenceMs: number;
  /** A broken stream is opened again after this at least: a fleet of followers must not come back in the same moment. */
  reconnectMs: number;
  /** … and after this at most, unless the API asks for more. */
  longestReconnectMs: number;
}

export const defaultTiming: ClientTiming = {
  answerMs: 30_000,
  tries: 4,
  retryMs: 200,
  longestRetryMs: 3_000,
  silenceMs: 45_000,
  reconnectMs: 250,
  longestReconnectMs: 5_000,
};

/** Between half and the whole of an exponentially growing wait. `failures` counts from 0. */
export const backoff = (input: { firstMs: number; longestMs: number; failures: number; random: number }): number => {
  const whole = Math.min(input.longestMs, input.firstMs * 2 ** Math.min(input.failures, 30));
  return whole / 2 + (whole / 2) * input.random;
};
