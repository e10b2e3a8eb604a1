import { assertPortFree, freePort } from "../ports.ts";
import type { StackSettings } from "../settings.ts";

/** Beside the API's. */
const usualPort = 8001;

const isFree = (port: number): Promise<boolean> =>
  assertPortFree(port, "PREVIEW_PORT", "previews").then(
    () => true,
    () => false,
  );

const choosePort = async ({ ports, previewPort }: StackSettings): Promise<number> => {
  if (previewPort !== null) {
    await assertPortFree(previewPort, "PREVIEW_PORT", "previews");
    return previewPort;
  }
  const ours: readonly number[] = Object.values(ports);
  return !ours.includes(usualPort) && (await isFree(usualPort)) ? usualPort : freePort();
};

/**
 * Where ports of sandboxes are shown. Browsers take every name below `localhost` for this machine.
 * @throws StackError `port_taken`, if PREVIEW_PORT names a port that somebody has
 */
export const choosePreviews = async (
  settings: StackSettings,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<{ port: number; url: string }> => {
  const port = await choosePort(settings);
  return { port, url: environment["PREVIEW_URL"] || `http://{label}.localhost:${port}` };
};
