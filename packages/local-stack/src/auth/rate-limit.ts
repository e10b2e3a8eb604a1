import { AuthFailure, type AuthErrorCode } from "./failure.ts";

/** A count per key and window. */
export interface RateLimit {
  /** @throws AuthFailure 429 when the key has used up its window */
  take(key: string): void;
  refund(key: string): void;
}

export interface RateLimitOptions {
  limit: number;
  windowSeconds: number;
  code: Extract<AuthErrorCode, "over_request_rate_limit" | "over_email_send_rate_limit">;
  message: string;
  /** Milliseconds, for tests. */
  now?: () => number;
}

/** Keys remembered at most; beyond it the oldest windows are forgotten, so that a flood of addresses cannot fill the memory. */
const MAX_KEYS = 10_000;

interface Window {
  used: number;
  endsAt: number;
}

/** A fixed-window limit in memory: enough for one process on one machine, gone with it. */
export function createRateLimit(options: RateLimitOptions): RateLimit {
  const now = options.now ?? (() => performance.now());
  const windows = new Map<string, Window>();

  const currentWindow = (key: string): Window => {
    const known = windows.get(key);
    if (known !== undefined && known.endsAt > now()) return known;
    windows.delete(key);
    const fresh = { used: 0, endsAt: now() + options.windowSeconds * 1000 };
    windows.set(key, fresh);
    if (windows.size > MAX_KEYS) {
      const oldest = windows.keys().next().value;
      if (oldest !== undefined) windows.delete(oldest);
    }
    return fresh;
  };

  return {
    take(key) {
      const window = currentWindow(key);
      if (window.used >= options.limit) {
        const retryAfterSeconds = Math.max(1, Math.ceil((window.endsAt - now()) / 1000));
        throw new AuthFailure(429, options.code, options.message, { retryAfterSeconds });
      }
      window.used += 1;
    },
    refund(key) {
      const window = windows.get(key);
      if (window !== undefined) window.used = Math.max(0, window.used - 1);
    },
  };
}
