import { servePreviews, type PreviewServer } from "@cortex/previews";
import { findPortHolder } from "@cortex/sandbox/exposed-ports";
import type { ApiEnv } from "./env.ts";
import type { ApiServices } from "./services.ts";

/** Where people see ports of sandboxes: a listener of its own, so that nothing of an agent's is ever on the API's origin. Null: there is none. */
export const openPreviewEdge = async (
  env: Pick<ApiEnv, "API_HOST" | "PREVIEW_PORT" | "PREVIEW_SECRET">,
  { db, log, issuer, previewLinks: links }: ApiServices,
): Promise<PreviewServer | null> => {
  const { PREVIEW_SECRET: secret } = env;
  if (links === null || secret === undefined) return null;
  return servePreviews(
    { secret, links, issuer, log, findHolder: (target) => findPortHolder(db, target) },
    { host: env.API_HOST, port: env.PREVIEW_PORT },
  );
};
