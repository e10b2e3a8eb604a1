import { type CreateMessage, type CreateThread, Message, page, Thread, type UpdateThread } from "@cortex/contracts";
import { call, type Caller, type CallOptions, type CreateOptions } from "../http/call.ts";
import { path } from "../http/connection.ts";
import type { InputOf, PageQuery } from "./input.ts";

const Threads = page(Thread);
const Messages = page(Message);

export interface ListThreadsQuery extends PageQuery {
  project_id?: string | undefined;
}

/** The routes of threads and their messages. Errors of each: those of `call`. */
export const threadRoutes = (caller: Caller) => ({
  /** Newest first. */
  listThreads: (query?: ListThreadsQuery, options?: CallOptions) =>
    call(caller, { method: "GET", path: "/threads", query: { ...query }, answer: Threads, kind: "read", options }),
  /** Without a `project_id` the thread gets a project of its own. */
  createThread: (input: InputOf<typeof CreateThread> = {}, options?: CreateOptions) =>
    call(caller, { method: "POST", path: "/threads", body: input, answer: Thread, kind: "creates", options }),
  getThread: (threadId: string, options?: CallOptions) =>
    call(caller, { method: "GET", path: path`/threads/${threadId}`, answer: Thread, kind: "read", options }),
  updateThread: (threadId: string, changes: InputOf<typeof UpdateThread>, options?: CallOptions) =>
    call(caller, {
      method: "PATCH",
      path: path`/threads/${threadId}`,
      body: changes,
      answer: Thread,
      kind: "changes",
      options,
    }),
  /** With its messages and runs. `run_active` while a run has not ended. */
  deleteThread: (threadId: string, options?: CallOptions) =>
    call<void>(caller, {
      method: "DELETE",
      path: path`/threads/${threadId}`,
      answer: null,
      kind: "changes",
      options,
    }),
  /** In the order of the conversation. */
  listMessages: (threadId: string, query?: PageQuery, options?: CallOptions) =>
    call(caller, {
      method: "GET",
      path: path`/threads/${threadId}/messages`,
      query: { ...query },
      answer: Messages,
      kind: "read",
      options,
    }),
  /** A message of the user. An active run takes it up at its next step; otherwise it waits for a run to be started. */
  createMessage: (threadId: string, input: InputOf<typeof CreateMessage>, options?: CreateOptions) =>
    call(caller, {
      method: "POST",
      path: path`/threads/${threadId}/messages`,
      body: input,
      answer: Message,
      kind: "creates",
      options,
    }),
  getMessage: (threadId: string, messageId: string, options?: CallOptions) =>
    call(caller, {
      method: "GET",
      path: path`/threads/${threadId}/messages/${messageId}`,
      answer: Message,
      kind: "read",
      options,
    }),
});
