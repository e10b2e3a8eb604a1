import { createServer } from "node:net";

/** Below the ports that systems give to outgoing connections (Linux from 32768, macOS from 49152). */
const [first, end] = [20_000, 32_000];

const isFree = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen({ port, host: "127.0.0.1", exclusive: true }, () => server.close(() => resolve(true)));
  });

/**
 * A port on 127.0.0.1 that nobody gets by chance. What is killed must find its port free when it comes back, seconds later, and a cluster is
 * made before its server listens; one that the system hands out would by then belong to some connection.
 */
export const quietPort = async (): Promise<number> => {
  for (;;) {
    const port = first + Math.floor(Math.random() * (end - first));
    if (await isFree(port)) return port;
  }
};
