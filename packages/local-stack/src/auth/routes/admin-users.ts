import { type Context, Hono } from "hono";
import { banUser, deleteUser, listUsers, setRole, softDeleteUser } from "../admin.ts";
import { requireSecretKey } from "../api-key.ts";
import { banEnd } from "../ban-duration.ts";
import { inTransaction, type Queryable } from "../database.ts";
import { parseEmail } from "../email-address.ts";
import { AuthFailure } from "../failure.ts";
import { parsePassword } from "../passwords.ts";
import { readBody, type RequestBody } from "../request-body.ts";
import type { AuthEnv } from "../request-context.ts";
import type { AuthServices } from "../services.ts";
import { changeEmail, confirmEmail, emailExists, mergeMetadata, setPassword } from "../user-changes.ts";
import { userView } from "../user-view.ts";
import { createUser, findUserById, lockUser, type UserRow } from "../users.ts";

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
const DEFAULT_PAGE_SIZE = 50;
const MAX_PAGE_SIZE = 1000;

/** `/admin/users`: what `supabase.auth.admin` calls with the secret key. */
export function adminUserRoutes(services: AuthServices): Hono<AuthEnv> {
  return new Hono<AuthEnv>()
    .use("/admin/*", requireSecretKey(services.secrets))
    .get("/admin/users", async (context) => {
      const number = wholeNumber(context.req.query("page"), { or: 1 });
      const size = Math.min(wholeNumber(context.req.query("per_page"), { or: DEFAULT_PAGE_SIZE }), MAX_PAGE_SIZE);
      const { users, total } = await listUsers(services.db, { number, size });
      context.header("x-total-count", String(total));
      context.header("link", pageLinks({ number, size, total }));
      return context.json({ users: users.map(userView), aud: "authenticated" });
    })
    .post("/admin/users", async (context) => {
      const body = await readBody(context);
      const email = parseEmail(body.text("email"));
      const wantedId = body.text("id");
      if (wantedId !== null && !UUID.test(wantedId)) {
        throw new AuthFailure(400, "validation_failed", "ID must conform to the uuid v4 format");
      }
      const password = body.text("password");
      const user = await createUser(services.db, {
        ...(wantedId === null ? {} : { id: wantedId }),
        email,
        passwordHash: password === null ? null : await services.passwords.hash(parsePassword(password)),
        confirmed: body.flag("email_confirm") ?? false,
        role: body.text("role") ?? "authenticated",
        userMetadata: body.object("user_metadata") ?? {},
        appMetadata: body.object("app_metadata") ?? {},
        bannedUntil: banEnd(body.text("ban_duration") ?? "none", new Date()),
      });
      if (user === null) throw emailExists();
      return context.json(userView(user));
    })
    .get("/admin/users/:id", async (context) => context.json(userView(await loadUser(services, context))))
    .put("/admin/users/:id", async (context) => {
      const { id } = await loadUser(services, context);
      const body = await readBody(context);
      const password = body.text("password");
      const passwordHash = password === null ? null : await services.passwords.hash(parsePassword(password));
      await inTransaction(services.db, async (tx) => {
        await lockUser(tx, id);
        await updateUser(tx, id, body, passwordHash);
      });
      return context.json(userView(await loadUser(services, context)));
    })
    .delete("/admin/users/:id", async (context) => {
      const user = await loadUser(services, context);
      const body = await readBody(context);
      if (body.flag("should_soft_delete") === true) await inTransaction(services.db, (tx) => softDeleteUser(tx, user));
      else await deleteUser(services.db, user.id);
      return context.json({});
    });
}

async function updateUser(
  tx: Queryable,
  userId: string,
  body: RequestBody,
  passwordHash: string | null,
): Promise<void> {
  const confirmed = body.flag("email_confirm") ?? false;
  const email = body.text("email");
  const role = body.text("role");
  const ban = body.text("ban_duration");
  const userMetadata = body.object("user_metadata");
  const appMetadata = body.object("app_metadata");
  if (role !== null) await setRole(tx, { userId, role });
  if (email !== null) await changeEmail(tx, { userId, email: parseEmail(email), verified: confirmed });
  if (confirmed) await confirmEmail(tx, userId);
  if (passwordHash !== null) await setPassword(tx, { userId, passwordHash, keepSessionId: null });
  if (appMetadata !== null) await mergeMetadata(tx, { userId, column: "raw_app_meta_data", changes: appMetadata });
  if (userMetadata !== null) await mergeMetadata(tx, { userId, column: "raw_user_meta_data", changes: userMetadata });
  if (ban !== null) await banUser(tx, { userId, until: banEnd(ban, new Date()) });
}

async function loadUser(services: AuthServices, context: Context<AuthEnv>): Promise<UserRow> {
  const id = context.req.param("id") ?? "";
  if (!UUID.test(id)) throw new AuthFailure(404, "validation_failed", "user_id must be an UUID");
  const user = await findUserById(services.db, id);
  if (user === null) throw new AuthFailure(404, "user_not_found", "User not found");
  return user;
}

function wholeNumber(text: string | undefined, { or }: { or: number }): number {
  if (text === undefined || text === "") return or;
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new AuthFailure(400, "validation_failed", "Bad Pagination Parameters");
  return Number(text);
}

/** RFC 8288. supabase-js takes what follows the first `=` for the page, so `page` must come first. */
function pageLinks(page: { number: number; size: number; total: number }): string {
  const last = Math.max(1, Math.ceil(page.total / page.size));
  const link = (number: number, rel: string) => `</admin/users?page=${number}&per_page=${page.size}>; rel="${rel}"`;
  return [...(last > page.number ? [link(page.number + 1, "next")] : []), link(last, "last")].join(", ");
}
