import { hostname } from "node:os";
import type { ExposePort } from "@cortex/agentpress";
import { AppError } from "@cortex/contracts";
import type { Db } from "@cortex/db";
import type { Logger } from "@cortex/observability";
import { createPreviewLinks, serveTunnels } from "@cortex/previews";
import type { Outlast } from "@cortex/runs";
import { type Sandbox, SandboxError } from "@cortex/sandbox";
import { exposePort, withdrawPorts } from "@cortex/sandbox/exposed-ports";

/** Nobody looks at more, and a program that exposes one after the other must not fill a table. */
const maxPortsPerSandbox = 32;

export interface PreviewSettings {
  secret: string;
  /** The addresses of previews, see `createPreviewLinks`. */
  url: string;
  /** `host:port` of the private listener. */
  listen: string;
  /** The host under which the API reaches us; null: the one we listen on, or this machine's name if that is all of them. */
  advertise: string | null;
}

/** What this worker shows of the sandboxes that it runs: a local sandbox has a loopback per process of ours, so only the worker whose agent started a server reaches it. */
export interface Previews {
  /** For the runs of an account. */
  forRun(accountId: string, outlast: Outlast): ExposePort;
  close(): Promise<void>;
}

interface Shown {
  accountId: string;
  sandbox: Sandbox;
  ports: Set<number>;
}

/** The sandbox sleeps or is gone: its servers are, too. */
const hasEnded = (error: unknown): boolean =>
  error instanceof SandboxError && ["sandbox_stopped", "sandbox_gone", "sandbox_unavailable"].includes(error.reason);

/** An address of IPv6 stands in brackets. */
const placeOf = (listen: string): { host: string; port: number } => ({
  host: listen.replace(/:\d+$/, "").replaceAll(/[[\]]/g, ""),
  port: Number(/\d+$/.exec(listen)?.[0] ?? 0),
});

const isEverywhere = (host: string): boolean => host === "0.0.0.0" || host === "::";

export const openPreviews = async (
  deps: { db: Db; workerId: string; log: Logger },
  settings: PreviewSettings,
): Promise<Previews> => {
  const { db, workerId, log } = deps;
  const links = createPreviewLinks(settings);
  const place = placeOf(settings.listen);
  const shown = new Map<string, Shown>();

  /** A visitor has found out; the next one is told without asking the sandbox. */
  const forget = async (sandboxId: string, { accountId, ports }: Shown): Promise<void> => {
    shown.delete(sandboxId);
    await withdrawPorts(db, { accountId, sandboxId, ports: [...ports], workerId });
  };

  const open = async (sandboxId: string, entry: Shown, port: number) => {
    try {
      return await entry.sandbox.connect({ port, passive: true });
    } catch (error) {
      if (hasEnded(error) && shown.get(sandboxId) === entry)
        await forget(sandboxId, entry).catch((failure: unknown) =>
          log.warn({ err: failure, sandbox_id: sandboxId }, "the row of a preview could not be removed"),
        );
      throw error;
    }
  };

  const tunnels = await serveTunnels(
    {
      secret: settings.secret,
      workerId,
      open: ({ sandboxId, port }) => {
        const entry = shown.get(sandboxId);
        return entry?.ports.has(port) ? open(sandboxId, entry, port) : null;
      },
      log,
    },
    place,
  );
  const { host } = place;
  const name = settings.advertise ?? (isEverywhere(host) ? hostname() : host);
  const address = `${name.includes(":") ? `[${name}]` : name}:${tunnels.port}`;
  log.info({ address }, "previews can be visited");

  return {
    forRun:
      (accountId, outlast) =>
      async ({ sandbox, port }) => {
        const sandboxId = sandbox.id;
        const entry = shown.get(sandboxId) ?? { accountId, sandbox, ports: new Set<number>() };
        if (entry.ports.size >= maxPortsPerSandbox && !entry.ports.has(port))
          throw new AppError("conflict", `No more than ${maxPortsPerSandbox} ports of a sandbox are shown.`);
        if (!(await outlast(() => exposePort(db, { sandboxId, port, accountId, workerId, address }))))
          throw new AppError("not_found", "There is no such sandbox any more.");
        // A handle of this run: an earlier one may be of a computer that was made anew since.
        shown.set(sandboxId, { accountId, sandbox, ports: new Set([...entry.ports, port]) });
        return links.sign({ sandboxId, port });
      },
    // The rows go with the worker's own.
    close: () => tunnels.close(),
  };
};
