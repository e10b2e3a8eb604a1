import { z } from "zod";
import { Timestamp } from "./values.ts";

/**
 * A link to a port of a sandbox. Whoever has it sees what the program there serves, until `expires_at`: it is a secret to be handed on with care.
 */
export const PreviewLink = z.object({ url: z.url(), expires_at: Timestamp }).meta({ id: "PreviewLink" });
export type PreviewLink = z.infer<typeof PreviewLink>;
