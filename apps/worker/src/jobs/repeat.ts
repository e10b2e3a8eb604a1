import type { Logger } from "@cortex/observability";

export interface Repeated {
  /** No further turn, after the one under way. */
  close(): Promise<void>;
}

/** Runs a task again and again until closed: never beside itself, and a failure is a line in the log. */
export const repeat = (
  services: { log: Logger },
  name: string,
  everyMs: number,
  task: () => Promise<unknown>,
): Repeated => {
  let closed = false;
  let timer: NodeJS.Timeout | undefined;
  let turn: Promise<void> = Promise.resolve();
  const takeTurn = async (): Promise<void> => {
    try {
      await task();
    } catch (error) {
      services.log.warn({ err: error, task: name }, "a task of the house failed");
    }
    if (!closed) wait();
  };
  const wait = (): void => {
    timer = setTimeout(() => {
      turn = takeTurn();
    }, everyMs);
  };
  wait();
  return {
    close: async () => {
      closed = true;
      clearTimeout(timer);
      await turn;
    },
  };
};
