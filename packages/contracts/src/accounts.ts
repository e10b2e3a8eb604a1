import { z } from "zod";
import { AccountId, UserId } from "./ids.ts";
import { Timestamp } from "./values.ts";

export const AccountRole = z.enum(["owner", "admin", "member", "viewer"]);
export type AccountRole = z.infer<typeof AccountRole>;

export const Account = z
  .object({
    id: AccountId,
    kind: z.enum(["personal", "team"]),
    name: z.string(),
    plan_id: z.string(),
    role: AccountRole,
    created_at: Timestamp,
  })
  .meta({ id: "Account" });
export type Account = z.infer<typeof Account>;

/** `GET /me`: the caller, and every account that the caller may act for. */
export const Me = z
  .object({ user: z.object({ id: UserId, email: z.string().nullable() }), accounts: z.array(Account) })
  .meta({ id: "Me" });
export type Me = z.infer<typeof Me>;
