/** A helper cannot work on its input; the message says why, for the model. */
export class HelperError extends Error {
  override readonly name = "HelperError";
}
