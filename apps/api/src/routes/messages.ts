import { CreateMessage, ListQuery, Message, MessageId, page, ThreadId } from "@cortex/contracts";
import { asUser } from "@cortex/db";
import { getMessage, listMessages, postMessage } from "@cortex/runs";
import { createRoute, z } from "@hono/zod-openapi";
import { answerOnce } from "../answer-once.ts";
import type { Api } from "../request-context.ts";
import { creates, found, json, jsonBody, problems, secured } from "../route-parts.ts";
import type { ApiServices } from "../services.ts";

const common = { tags: ["messages"], security: secured };
const params = z.object({ thread_id: ThreadId });

const list = createRoute({
  ...common,
  method: "get",
  path: "/threads/{thread_id}/messages",
  operationId: "listMessages",
  summary: "The messages of a thread, oldest first",
  request: { params, query: ListQuery },
  responses: { 200: json(page(Message), "A page of messages"), ...problems("not_found", "invalid_cursor") },
});

const post = createRoute({
  ...common,
  ...creates,
  method: "post",
  path: "/threads/{thread_id}/messages",
  operationId: "postMessage",
  summary: "Post a user message; an active run takes it up at its next step",
  request: { params, ...jsonBody(CreateMessage) },
  responses: { 201: json(Message, "The new message"), ...problems("not_found", "forbidden") },
});

const get = createRoute({
  ...common,
  method: "get",
  path: "/threads/{thread_id}/messages/{message_id}",
  operationId: "getMessage",
  summary: "A message",
  request: { params: params.extend({ message_id: MessageId }) },
  responses: { 200: json(Message, "The message"), ...problems("not_found") },
});

export const registerMessages = (api: Api, { db }: ApiServices): void => {
  api.openapi(list, async (c) => {
    const { thread_id: threadId } = c.req.valid("param");
    const query = c.req.valid("query");
    const messages = await asUser(db, c.get("caller"), (tx) => listMessages(tx, { threadId, ...query }));
    return c.json(found(messages, "thread"), 200);
  });

  api.openapi(post, async (c) => {
    const { thread_id: threadId } = c.req.valid("param");
    const body = c.req.valid("json");
    const once = answerOnce(c, { status: 201 });
    const message = await asUser(db, c.get("caller"), (tx) =>
      once(tx, async () => found(await postMessage(tx, { threadId, ...body }), "thread")),
    );
    return c.json(message, 201, { location: `/api/threads/${threadId}/messages/${message.id}` });
  });

  api.openapi(get, async (c) => {
    const { thread_id: threadId, message_id: messageId } = c.req.valid("param");
    const message = await asUser(db, c.get("caller"), (tx) => getMessage(tx, { threadId, messageId }));
    return c.json(found(message, "message"), 200);
  });
};
