/**
 * Why nothing came back. `invalid_url`: not an address we speak to, by its form · `port`: a port that is not open · `not_public`: no public
 * address behind it, or none at all: one code and one sentence, or whoever may ask could map the names of our network · `unreachable`,
 * `tls`, `timeout`: tried and failed · `too_large`, `too_many_redirects`, `bad_response`: what came was refused.
 */
export type EgressErrorCode =
  | "invalid_url"
  | "port"
  | "not_public"
  | "unreachable"
  | "tls"
  | "timeout"
  | "too_large"
  | "too_many_redirects"
  | "bad_response";

const passing: ReadonlySet<EgressErrorCode> = new Set<EgressErrorCode>(["unreachable", "timeout"]);

/** A request that got no usable answer. The message is fit for a model and its user: it never holds an address that a name led to. */
export class EgressError extends Error {
  override readonly name = "EgressError";
  readonly code: EgressErrorCode;

  constructor(code: EgressErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }

  /** The same request may succeed later. */
  get retryable(): boolean {
    return passing.has(this.code);
  }
}
