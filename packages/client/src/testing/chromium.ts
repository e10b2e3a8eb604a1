import { spawn } from "node:child_process";
import { once } from "node:events";
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";

const names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"];
const usualPlaces = [
  "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
  "/Applications/Chromium.app/Contents/MacOS/Chromium",
];

/** A Chromium of this machine: `CHROMIUM`, or on the PATH, or where it usually is; null if there is none. */
export const findChromium = (environment: Record<string, string | undefined>): string | null => {
  const folders = (environment["PATH"] ?? "").split(delimiter).filter((folder) => folder !== "");
  const named = environment["CHROMIUM"] === undefined ? [] : [environment["CHROMIUM"]];
  const files = [...named, ...folders.flatMap((folder) => names.map((name) => join(folder, name))), ...usualPlaces];
  return files.find(isExecutable) ?? null;
};

const isExecutable = (file: string): boolean => {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false; // not here: look further
  }
};

export interface Browser extends AsyncDisposable {
  /** What it has said so far: why a page that never answers does not. */
  said(): string;
}

/** Opens a page without a window. The browser and all its processes end with the `using` block. */
export const openPage = (input: { program: string; profile: string; url: string }): Browser => {
  const child = spawn(
    input.program,
    [
      "--headless=new",
      // The pages are our own and there is no other user here: its sandbox needs rights that a container does not give.
      "--no-sandbox",
      "--disable-dev-shm-usage",
      "--disable-gpu",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      `--user-data-dir=${input.profile}`,
      "--enable-logging=stderr",
      input.url,
    ],
    { stdio: ["ignore", "ignore", "pipe"], detached: true },
  );
  const ended = once(child, "close");
  let said = "";
  child.stderr.on("data", (text: Buffer) => (said += text.toString()));
  child.on("error", (error) => (said += String(error)));
  return {
    said: () => said,
    [Symbol.asyncDispose]: async () => {
      // The whole group: its renderers are processes of their own.
      const runs = child.exitCode === null && child.signalCode === null;
      if (child.pid !== undefined && runs) process.kill(-child.pid, "SIGKILL");
      await ended;
    },
  };
};
