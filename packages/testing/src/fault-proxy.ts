import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { quietPort } from "./quiet-port.ts";

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
  /** Resets the open connections (those that `choose` picks), once. Answers on their way are lost. @returns how many */
  cut(choose?: () => boolean): number;
  /**
   * Breaks the connection that next sends this text, once: `request` before the text reaches the server, `answer` when the server has answered
   * and the client has not heard it. What the server did is then done, or not, for certain; the client cannot tell.
   */
  breakAt(text: string, loses: "request" | "answer"): void;
  /** How many connections `breakAt` has broken so far. */
  broken(): number;
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
  let trap: { text: string; loses: "request" | "answer" } | null = null;
  let broken = 0;

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

  /** @param note sees each piece first; true: it goes no further */
  const forward = (from: Socket, to: Socket, note: (piece: Buffer) => boolean): void => {
    from.on("data", (piece: Buffer) => {
      if (note(piece)) return;
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
    let doomed = false;
    const breakNow = (): boolean => {
      broken += 1;
      end(pair);
      return true;
    };
    forward(pair.client, pair.server, (piece) => {
      if (trap === null || !piece.includes(trap.text)) return false;
      doomed = trap.loses === "answer";
      trap = null;
      return doomed ? false : breakNow();
    });
    forward(pair.server, pair.client, (piece) => {
      if (doomed) return breakNow();
      answered += piece.length;
      return false;
    });
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
  const cut = (choose: () => boolean = () => true): number => {
    const chosen = [...pairs].filter(choose);
    for (const pair of chosen) end(pair);
    return chosen.length;
  };

  // It is let go and taken again when the network refuses.
  let server: Server | null = await listen(await quietPort());
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
    breakAt: (text, loses) => {
      trap = { text, loses };
    },
    broken: () => broken,
    answered: () => answered,
    close: async () => {
      cut();
      if (server) await stopListening(server);
    },
  };
};
