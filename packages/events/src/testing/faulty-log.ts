import type { EventLog } from "../event-log.ts";

/** What becomes of one call: as it should · it does not arrive · it is done and its answer lost · it is sent twice · the log was gone before it. */
export type CallFault = "none" | "refused" | "unanswered" | "twice" | "log lost";

export const callFaults: readonly CallFault[] = ["none", "refused", "unanswered", "twice", "log lost"];

/** A log whose calls go wrong one after the other as the list says; when it is used up they go right. */
export const createFaultyLog = (
  log: EventLog,
  input: { faults: CallFault[]; lose: () => Promise<void> },
): { log: EventLog; injected: () => number } => {
  const { faults } = input;
  let injected = 0;

  const through = async <Answer>(call: () => Promise<Answer>): Promise<Answer> => {
    const fault = faults.shift() ?? "none";
    if (fault !== "none") injected += 1;
    switch (fault) {
      case "none":
        return call();
      case "refused":
        throw new Error("the connection is refused");
      case "unanswered":
        await call();
        throw new Error("the connection broke");
      case "twice":
        await call();
        return call();
      case "log lost":
        await input.lose();
        return call();
    }
  };

  return {
    log: {
      open: (what) => through(() => log.open(what)),
      append: (what) => through(() => log.append(what)),
      read: (what) => through(() => log.read(what)),
    },
    injected: () => injected,
  };
};
