import type { Duplex } from "node:stream";

/**
 * Lets the bytes of two connections through, each way as fast as the other end takes them. An end is handed on; a break breaks both; so does
 * silence either way for `idleMs`, and `totalMs` in all.
 */
export const joinStreams = (one: Duplex, other: Duplex, limits: { idleMs: number; totalMs: number }): void => {
  const cut = (): void => {
    one.destroy();
    other.destroy();
  };
  const idle = setTimeout(cut, limits.idleMs);
  const total = setTimeout(cut, limits.totalMs);
  const stir = (): void => {
    idle.refresh();
  };
  const ended = (): void => {
    if (!one.destroyed || !other.destroyed) return;
    clearTimeout(idle);
    clearTimeout(total);
  };
  for (const [from, to] of [
    [one, other],
    [other, one],
  ] as const) {
    from.on("data", stir);
    from.on("error", cut);
    from.on("close", () => {
      // Not before what it has sent is through: then `end` has been handed on already.
      if (!from.readableEnded) to.destroy();
      ended();
    });
    from.pipe(to);
  }
};
