/**
 * Error codes that this server sends. They are Supabase Auth's own (clients switch over them), so they stand beside and not
 * inside the closed set of the public contract.
 */
export type AuthErrorCode =
  | "bad_code_verifier"
  | "bad_json"
  | "bad_jwt"
  | "email_exists"
  | "email_not_confirmed"
  | "flow_state_not_found"
  | "invalid_credentials"
  | "no_authorization"
  | "not_admin"
  | "not_found"
  | "otp_disabled"
  | "otp_expired"
  | "over_email_send_rate_limit"
  | "over_request_rate_limit"
  | "phone_provider_disabled"
  | "refresh_token_already_used"
  | "refresh_token_not_found"
  | "request_entity_too_large"
  | "same_password"
  | "session_expired"
  | "session_not_found"
  | "unexpected_failure"
  | "user_already_exists"
  | "user_banned"
  | "user_not_found"
  | "validation_failed"
  | "weak_password";

export interface AuthFailureDetails {
  /** With 429: when asking again makes sense. */
  retryAfterSeconds?: number;
  /** With `weak_password`: what the password lacks (`length`, …). */
  weakPasswordReasons?: string[];
}

/** A refusal with a meaning: status, code and sentence as hosted Supabase Auth answers them. */
export class AuthFailure extends Error {
  override readonly name = "AuthFailure";
  readonly status: 400 | 401 | 403 | 404 | 413 | 422 | 429;
  readonly code: AuthErrorCode;
  readonly details: AuthFailureDetails;

  constructor(status: AuthFailure["status"], code: AuthErrorCode, message: string, details: AuthFailureDetails = {}) {
    super(message);
    this.status = status;
    this.code = code;
    this.details = details;
  }
}
