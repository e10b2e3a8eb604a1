import { createServer } from "node:net";
import { StackError, systemErrorCode } from "./stack-error.ts";

function tryListen(port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen({ port, host: "127.0.0.1", exclusive: true }, () => {
      const address = server.address();
      const taken = typeof address === "object" && address !== null ? address.port : port;
      server.close(() => resolve(taken));
    });
  });
}

/** A TCP port on 127.0.0.1 that was free a moment ago. */
export function freePort(): Promise<number> {
  return tryListen(0);
}

/** Throws `port_taken` when another program listens on 127.0.0.1:`port`; `setting` is the variable that moves it. */
export async function assertPortFree(port: number, setting: string, what: string): Promise<void> {
  try {
    await tryListen(port);
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === "EACCES") {
      throw new StackError(
        "port_taken",
        `Port ${port} for ${what} needs more rights than this user has: set ${setting} to a port above 1023.`,
      );
    }
    throw new StackError(
      "port_taken",
      `Port ${port} for ${what} is taken by another program: stop that program, or set ${setting} to a free port.`,
      { cause: error },
    );
  }
}
