import type { Logger } from "@cortex/observability";
import type { Context } from "hono";
import { AuthFailure } from "./failure.ts";

/** The first API version whose errors are `{code, message}`; older clients get `{code: status, error_code, msg}`. */
const FIRST_VERSION_WITH_CODES = "2024-01-01";

/** Turns whatever was thrown into the error body of Supabase Auth. Unknown errors are logged and say nothing to the caller. */
export function failureResponse(context: Context, error: unknown, log: Logger): Response {
  if (!(error instanceof AuthFailure)) {
    log.error({ err: error, method: context.req.method, path: context.req.path }, "auth request failed");
    return body(
      context,
      500,
      "unexpected_failure",
      "Unexpected failure, please check server logs for more information",
    );
  }
  const { retryAfterSeconds, weakPasswordReasons } = error.details;
  if (retryAfterSeconds !== undefined) context.header("Retry-After", String(retryAfterSeconds));
  const extra = weakPasswordReasons === undefined ? {} : { weak_password: { reasons: weakPasswordReasons } };
  return body(context, error.status, error.code, error.message, extra);
}

function body(
  context: Context,
  status: AuthFailure["status"] | 500,
  code: string,
  message: string,
  extra: Record<string, unknown> = {},
): Response {
  context.header("x-sb-error-code", code);
  const version = context.req.header("x-supabase-api-version") ?? "";
  if (version < FIRST_VERSION_WITH_CODES) {
    return context.json({ code: status, error_code: code, msg: message, ...extra }, status);
  }
  context.header("x-supabase-api-version", FIRST_VERSION_WITH_CODES);
  return context.json({ code, message, ...extra }, status);
}
