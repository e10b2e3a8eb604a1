export { createPreviewLinks, type PreviewedPort, type PreviewLinks, previewUrlPattern } from "./link.ts";
export type { PreviewHolder } from "./open-tunnel.ts";
export { type PreviewServer, servePreviews } from "./serve-previews.ts";
export { serveTunnels } from "./serve-tunnels.ts";
