import { AuthFailure } from "./failure.ts";

/** The column's width, and hosted's limit. */
const MAX_LENGTH = 255;

/** The shape that HTML's e-mail fields and hosted accept, with at least one dot in the domain. */
const SHAPE = /^[a-z0-9.!#$%&'*+/=?^_`{|}~-]+@[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)+$/i;

/** @returns the address in lower case, as it is stored and compared. @throws AuthFailure `validation_failed` */
export function parseEmail(value: string | null): string {
  if (value === null) throw new AuthFailure(400, "validation_failed", "An email address is required");
  if (value.length > MAX_LENGTH) throw new AuthFailure(400, "validation_failed", "An email address is too long");
  if (!SHAPE.test(value)) {
    throw new AuthFailure(400, "validation_failed", "Unable to validate email address: invalid format");
  }
  return value.toLowerCase();
}
