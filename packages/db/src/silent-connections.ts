import { Socket } from "node:net";
import pg from "pg";

/**
 * Longer than the longest statement (6 s, set on the roles by their migration), so that a slow answer is never taken for none; and shorter than
 * a worker's patience (`giveUpAfterMs`, 10 s), so that what was lost with a connection is tried on another one while its run is still held.
 */
const silenceMs = 8_000;

/**
 * Destroys a connection that is in use and hears nothing for too long. A network that swallows packets (a dead host, a forgotten NAT entry)
 * closes nothing: without this a heartbeat waits for TCP to give up, a quarter of an hour, while the process looks alive and loses every run it
 * takes.
 */
export const endSilentConnections = (pool: pg.Pool, input: { silenceMs?: number } = {}): void => {
  const limitMs = input.silenceMs ?? silenceMs;
  const socketOf = (client: pg.PoolClient): Socket | null => {
    const stream = client instanceof pg.Client ? client.connection.stream : null;
    return stream instanceof Socket ? stream : null;
  };
  pool.on("connect", (client) => {
    const socket = socketOf(client);
    socket?.on("timeout", () => void socket.destroy(new Error(`Postgres was silent for ${limitMs} ms`)));
  });
  pool.on("acquire", (client) => void socketOf(client)?.setTimeout(limitMs));
  pool.on("release", (_error, client) => void socketOf(client)?.setTimeout(0));
};
