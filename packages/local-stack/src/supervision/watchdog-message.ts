import { z } from "zod";

/** What the supervisor tells its watchdog, one JSON object a line. */
export const WatchdogMessage = z.discriminatedUnion("kind", [
  z.object({
    kind: z.literal("watch"),
    pid: z.number().int().positive(),
    signal: z.custom<NodeJS.Signals>((value) => typeof value === "string"),
  }),
  z.object({ kind: z.literal("remove"), path: z.string() }),
  z.object({ kind: z.literal("done") }),
]);
export type WatchdogMessage = z.infer<typeof WatchdogMessage>;
