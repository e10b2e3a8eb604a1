/** Applications end before the stores under them. */
export type Stage = "application" | "store";

export type EndSignal = "SIGTERM" | "SIGINT" | "SIGQUIT" | "SIGKILL";

/** What the supervisor tells its watchdog, one JSON object a line, through a pipe that nobody else holds. */
export type WatchdogMessage =
  | { kind: "watch"; pid: number; signal: EndSignal; stage: Stage }
  | { kind: "remove"; path: string }
  | { kind: "done" };
