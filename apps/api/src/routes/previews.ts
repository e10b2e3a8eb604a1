import { AppError, PreviewLink, SandboxId } from "@cortex/contracts";
import { asUser } from "@cortex/db";
import { isPortShown } from "@cortex/sandbox/exposed-ports";
import { createRoute, z } from "@hono/zod-openapi";
import type { Api } from "../request-context.ts";
import { found, json, problems, secured } from "../route-parts.ts";
import type { ApiServices } from "../services.ts";

const show = createRoute({
  method: "get",
  path: "/sandboxes/{sandbox_id}/ports/{port}",
  operationId: "getPreviewLink",
  tags: ["sandboxes"],
  security: secured,
  summary: "A link to a port of a sandbox that an agent has exposed, good for about an hour",
  description: [
    "Whoever has the link sees the page, without signing in, until it expires: it is a secret to be handed on with care.",
    "Each link is an origin of its own. Ask again for a new one.",
  ].join(" "),
  request: { params: z.object({ sandbox_id: SandboxId, port: z.coerce.number().int().min(1).max(65_535) }) },
  responses: { 200: json(PreviewLink, "The link"), ...problems("not_found", "port_not_exposed") },
});

export const registerPreviews = (api: Api, { db, previewLinks }: ApiServices): void => {
  api.openapi(show, async (c) => {
    const { sandbox_id: sandboxId, port } = c.req.valid("param");
    const { userId, accountId } = c.get("caller");
    const isShown = found(
      await asUser(db, { userId, accountId, reads: true }, (tx) => isPortShown(tx, { sandboxId, port })),
      "sandbox",
    );
    if (previewLinks === null) throw new AppError("port_not_exposed", "This installation shows no ports of sandboxes.");
    if (!isShown)
      throw new AppError("port_not_exposed", "Nobody shows this port at the moment: ask the agent to expose it.");
    const { url, expiresAt } = previewLinks.sign({ sandboxId, port });
    return c.json({ url, expires_at: expiresAt.toISOString() }, 200);
  });
};
