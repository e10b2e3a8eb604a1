import { once } from "node:events";
import {
  createServer,
  type IncomingMessage,
  request as httpRequest,
  type RequestListener,
  type Server,
} from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { silentLogger } from "@cortex/observability";
import { SandboxError } from "@cortex/sandbox/port";
import { createPreviewLinks, type PreviewedPort, type PreviewLinks } from "../link.ts";
import type { PreviewHolder } from "../open-tunnel.ts";
import { servePreviews } from "../serve-previews.ts";
import { serveTunnels } from "../serve-tunnels.ts";

export const secret = "a secret of a test, thirty-two and more";
export const issuer = "https://cortex.example.com/auth/v1";
export const sandboxId = "0192f0c1-2222-7abc-8def-0123456789ab";

/** Edge and worker as they run, with a program on this machine in the place of a sandbox's. */
export interface PreviewWorld {
  links: PreviewLinks;
  edgePort: number;
  tunnelPort: number;
  /** What a worker would have written down; may be changed. */
  holders: Map<number, PreviewHolder>;
  /** How often the edge has asked for one. */
  asked(): number;
  app: Server;
  appPort: number;
  /** The host of a link to a port, by default the app's. */
  hostOf(port?: number): string;
  /** One request through the edge. */
  visit(options?: {
    host?: string;
    method?: string;
    path?: string;
    headers?: Record<string, string>;
    body?: string | Buffer;
  }): Promise<{ status: number; headers: IncomingMessage["headers"]; text: string }>;
  close(): Promise<void>;
}

const dial = (port: number): Promise<Socket> =>
  new Promise((resolve, reject) => {
    const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
    socket.once("connect", () => resolve(socket));
    socket.once("error", () => reject(new SandboxError("connection_refused", "Nothing listens there.")));
  });

export const bodyOf = async (message: IncomingMessage): Promise<string> => {
  const chunks: Buffer[] = [];
  for await (const chunk of message) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
};

export const startPreviewWorld = async (listener: RequestListener): Promise<PreviewWorld> => {
  const log = silentLogger();
  const app = createServer(listener);
  app.listen(0, "127.0.0.1");
  await once(app, "listening");
  const appPort = (app.address() as AddressInfo).port;
  const shown = new Set([appPort, 1]);
  const tunnels = await serveTunnels(
    {
      secret,
      workerId: "w1",
      log,
      open: (target: PreviewedPort) =>
        target.sandboxId === sandboxId && shown.has(target.port) ? dial(target.port) : null,
    },
    { host: "127.0.0.1", port: 0 },
  );
  const holder = { workerId: "w1", address: `127.0.0.1:${tunnels.port}` };
  const holders = new Map([...shown, 2].map((port) => [port, holder]));
  const links = createPreviewLinks({ secret, url: "https://{label}.preview.example.com" });
  let asked = 0;
  const findHolder = async ({ port }: PreviewedPort): Promise<PreviewHolder | null> => {
    asked += 1;
    return holders.get(port) ?? null;
  };
  const edge = await servePreviews({ secret, links, issuer, findHolder, log }, { host: "127.0.0.1", port: 0 });
  const hostOf = (port = appPort): string => new URL(links.sign({ sandboxId, port }).url).host;
  return {
    links,
    edgePort: edge.port,
    tunnelPort: tunnels.port,
    holders,
    asked: () => asked,
    app,
    appPort,
    hostOf,
    visit: async ({ host = hostOf(), method = "GET", path = "/", headers = {}, body } = {}) => {
      const request = httpRequest({
        host: "127.0.0.1",
        port: edge.port,
        method,
        path,
        headers: { host, ...headers },
        agent: false,
      });
      request.end(body);
      const [response] = (await once(request, "response")) as [IncomingMessage];
      return { status: response.statusCode ?? 0, headers: response.headers, text: await bodyOf(response) };
    },
    close: async () => {
      await edge.close();
      await tunnels.close();
      app.closeAllConnections();
      app.close();
    },
  };
};
