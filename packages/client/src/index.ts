export { type Client, type ClientOptions, createClient } from "./client.ts";
export { everyItem } from "./every-item.ts";
export {
  ApiError,
  type ApiErrorCode,
  ConnectionError,
  isApiError,
  type ProblemFields,
  UnexpectedAnswerError,
} from "./failures.ts";
export type { CallOptions, CreateOptions } from "./http/call.ts";
export { type ClientTiming, defaultTiming } from "./http/timing.ts";
export type { PageQuery } from "./routes/input.ts";
export type { Attachment, InitiateRunInput, ListRunsQuery } from "./routes/runs.ts";
export type { ListThreadsQuery } from "./routes/threads.ts";
export type { FollowOptions, StreamBreak } from "./stream/follow-run.ts";
export { type FollowedEvent, isLastEvent } from "./stream/log-place.ts";
export { reduceRun } from "./view/reduce-run.ts";
export { emptyRunView, type MessageView, type RunView, type StepView, type ToolCallView } from "./view/run-view.ts";
export type { WatchedEvent } from "./view/watch-run.ts";
