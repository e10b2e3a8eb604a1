import { z } from "zod";

export const Health = z.object({ status: z.literal("ok") }).meta({ id: "Health" });

/** `GET /ready`: 200 when every dependency answers, else 503 with the same body. `durability` is what this deployment really runs with. */
export const Ready = z
  .object({
    status: z.enum(["ready", "not_ready"]),
    dependencies: z.record(z.string(), z.object({ status: z.enum(["up", "down"]), detail: z.string().optional() })),
    durability: z
      .object({
        postgres: z.object({ fsync: z.string(), synchronous_commit: z.string() }),
        redis: z.object({ appendonly: z.string(), appendfsync: z.string(), maxmemory_policy: z.string() }),
      })
      .nullable(),
  })
  .meta({ id: "Ready" });
export type Ready = z.infer<typeof Ready>;
