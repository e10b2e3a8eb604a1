import { randomInt } from "node:crypto";
import { spawn } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { chown, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { Readable, Writable } from "node:stream";
import { AppError } from "@cortex/contracts";
import { chromiumArguments, chromiumNames, chromiumPlaces, proxiedArguments } from "./chromium.ts";
import type { Launch, Launched } from "./launched.ts";
import { startMs } from "./limits.ts";
import { loadPlaywright } from "./playwright.ts";
import { pipeTransport } from "./transport.ts";

export interface WorkerBrowserSettings {
  /** The only way out: an egress proxy (`createEgressProxy`). Null: straight out, which only a test's control may want. */
  proxy: { url: string; username: string; password: string } | null;
  /** The browser's program; null: where it usually is, or on the PATH. */
  program: string | null;
  /** The host's PATH. */
  searchPath: string;
  /** Without Chromium's own sandbox: only where the machine refuses it, as a container without user namespaces does. */
  noSandbox: boolean;
}

const isExecutable = (path: string): boolean => {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false; // not here: look further
  }
};

const findProgram = (names: readonly string[], searchPath: string): string | null =>
  searchPath
    .split(delimiter)
    .flatMap((folder) => (folder === "" ? [] : names.map((name) => join(folder, name))))
    .find(isExecutable) ?? null;

/** The browser's program on this machine; null if there is none. */
export const findChromium = ({ program, searchPath }: Pick<WorkerBrowserSettings, "program" | "searchPath">) =>
  program ?? chromiumPlaces.find(isExecutable) ?? findProgram(chromiumNames, searchPath);

/** Uids of nobody: beside those that sandboxes get, below systemd's foreign ids. Each browser has its own, so that none can look into another. */
const firstUid = 2_100_000_000;
const uidCount = 47_000_000;

/** As root, the command that gives root away first. */
const asNobody = (program: string, args: string[], searchPath: string) => {
  if (process.getuid?.() !== 0) return { program, args, uid: null };
  const setpriv = findProgram(["setpriv"], searchPath);
  if (setpriv === null)
    throw new AppError("conflict", "The browser must not run as root, and setpriv is not installed.");
  const uid = firstUid + randomInt(uidCount);
  const become = [`--reuid=${uid}`, `--regid=${uid}`, "--clear-groups", "--inh-caps=-all", "--"];
  return { program: setpriv, args: [...become, program, ...args], uid };
};

const refusesOnWorker = (url: URL): string | null =>
  ["http:", "https:"].includes(url.protocol) ? null : "Only http and https addresses are opened here.";

/** Chromium beside this process, in a folder and under a uid of its own, ended by our end: it listens to a pipe of ours and to nothing else. */
export const workerBrowser =
  (settings: WorkerBrowserSettings): Launch =>
  async (signal): Promise<Launched> => {
    const found = findChromium(settings);
    if (found === null) {
      throw new AppError("conflict", "There is no browser here: neither Chromium nor Google Chrome is installed.");
    }
    const folder = await mkdtemp(join(tmpdir(), "cortex-browser-"));
    const { proxy } = settings;
    const command = asNobody(
      found,
      [
        ...chromiumArguments,
        ...(proxy === null ? [] : proxiedArguments(proxy.url)),
        ...(settings.noSandbox ? ["--no-sandbox"] : []),
        "--remote-debugging-pipe",
        `--user-data-dir=${join(folder, "profile")}`,
      ],
      settings.searchPath,
    );
    if (command.uid !== null) await chown(folder, command.uid, command.uid);
    const child = spawn(command.program, command.args, {
      cwd: folder,
      env: { HOME: folder, TMPDIR: folder, PATH: "/usr/bin:/bin", LANG: "C.UTF-8" },
      stdio: ["ignore", "ignore", "pipe", "pipe", "pipe"],
      // A group of its own: its renderers are processes of their own.
      detached: true,
    });
    let said = "";
    child.stderr?.on("data", (text: Buffer) => (said = (said + text.toString()).slice(-4_000)));
    const ended = new Promise<string>((resolve) => {
      child.once("exit", (code, by) => resolve(`The browser ended by itself (${code ?? by ?? "unknown"}).`));
      child.once("error", () => resolve("The browser could not be started."));
    });
    const end = async (): Promise<void> => {
      const runs = child.pid !== undefined && child.exitCode === null && child.signalCode === null;
      if (runs && child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
      await ended;
      await rm(folder, { recursive: true, force: true, maxRetries: 5 });
    };
    const onAbort = () => void end();
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      const [, , , input, output] = child.stdio;
      if (!(input instanceof Writable) || !(output instanceof Readable)) throw new TypeError("a process without pipes");
      const transport = pipeTransport({ input, output });
      const { chromium } = await loadPlaywright();
      const dead = ended.then((how) => {
        const own = /No usable sandbox|sandbox helper/i.test(said);
        const why = own ? " This machine refuses Chromium's own sandbox; see BROWSER_NO_SANDBOX." : "";
        throw new AppError(own ? "conflict" : "unavailable", how + why, {}, { cause: new Error(said) });
      });
      const browser = await Promise.race([chromium.connectOverCDP(transport, { timeout: startMs }), dead]);
      signal.throwIfAborted();
      const { url: server, username, password } = proxy ?? { url: "", username: "", password: "" };
      const context = proxy === null ? {} : { proxy: { server, username, password } };
      return { browser, context, refuses: refusesOnWorker, networkNote: "", ended, end };
    } catch (error) {
      await end();
      signal.throwIfAborted();
      if (error instanceof AppError) throw error;
      throw new AppError("unavailable", "The browser did not start.", {}, { cause: error });
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  };
