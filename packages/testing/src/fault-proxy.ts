import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";

/**
 * What the network does:
 * - `pass`: nothing special
 * - `blackhole`: connections stay open and nothing comes through, either way; held bytes arrive when it ends, as TCP would resend them
 * - `mute`: requests arrive, answers do not
 * - `reset`: open connections are reset, and each new one at once
 * - `refuse`: open connections are reset, nobody listens
 */
export type Fault = "pass" | "blackhole" | "mute" | "reset" | "refuse";

export interface FaultProxy {
  port: number;
  /** The given URL with host and port of this proxy. */
  through(url: string): string;
  set(fault: Fault): Promise<void>;
  /** Holds each piece back for this long, each way. */
  delay(ms: number): void;
  /** Resets the open connections, once. Answers on their way are lost. */
  cut(): void;
  /** Bytes that came from the server and reached (or wait for) the client. */
  answered(): number;
  close(): Promise<void>;
}

interface Pair {
  client: Socket;
  server: Socket;
}

/** A TCP proxy on 127.0.0.1 in front of a real service, to break the network between it and one client. */
export const createFaultProxy = async (target: { host: string; port: number }): Promise<FaultProxy> => {
  const pairs = new Set<Pair>();
  let fault: Fault = "pass";
  let delayMs = 0;
  let answered = 0;

  const obey = (pair: Pair): void => {
    const flow = (socket: Socket, open: boolean) => (open ? socket.resume() : socket.pause());
    flow(pair.client, fault !== "blackhole");
    flow(pair.server, fault !== "blackhole" && fault !== "mute");
  };

  const end = (pair: Pair): void => {
    pairs.delete(pair);
    pair.client.resetAndDestroy();
    pair.server.destroy();
  };

  const forward = (from: Socket, to: Socket, note: (bytes: number) => void): void => {
    from.on("data", (piece: Buffer) => {
      note(piece.length);
      const write = () => to.writable && to.write(piece);
      if (delayMs > 0) setTimeout(write, delayMs);
      else write();
    });
  };

  const accept = (client: Socket): void => {
    if (fault === "reset") {
      client.resetAndDestroy();
      return;
    }
    const pair: Pair = { client, server: connect({ ...target, noDelay: true }) };
    client.setNoDelay(true);
    pairs.add(pair);
    for (const socket of [pair.client, pair.server]) {
      socket.on("error", () => end(pair));
      socket.on("close", () => end(pair));
    }
    forward(pair.client, pair.server, () => {});
    forward(pair.server, pair.client, (bytes) => (answered += bytes));
    obey(pair);
  };

  const listen = (port: number): Promise<Server> =>
    new Promise((resolve, reject) => {
      const listening = createServer(accept);
      listening.once("error", reject);
      listening.listen(port, "127.0.0.1", () => resolve(listening));
    });
  const stopListening = (listening: Server): Promise<void> =>
    new Promise((resolve) => {
      listening.close(() => resolve());
    });
  const cut = (): void => {
    for (const pair of pairs) end(pair);
  };

  let server: Server | null = await listen(0);
  const { port } = server.address() as AddressInfo;

  const set = async (next: Fault): Promise<void> => {
    fault = next;
    if (next === "reset" || next === "refuse") cut();
    if (next === "refuse" && server) {
      const listening = server;
      server = null;
      await stopListening(listening);
    }
    if (next !== "refuse") server ??= await listen(port);
    for (const pair of pairs) obey(pair);
  };

  return {
    port,
    through: (url) => {
      const changed = new URL(url);
      changed.hostname = "127.0.0.1";
      changed.port = String(port);
      return changed.href;
    },
    set,
    delay: (ms) => {
      delayMs = ms;
    },
    cut,
    answered: () => answered,
    close: async () => {
      cut();
      if (server) await stopListening(server);
    },
  };
};
