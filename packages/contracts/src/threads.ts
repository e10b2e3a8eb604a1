import { z } from "zod";
import { MessageId, ProjectId, RunId, ThreadId } from "./ids.ts";
import { Json, Metadata, Timestamp } from "./values.ts";

export const Thread = z
  .object({
    id: ThreadId,
    project_id: ProjectId,
    title: z.string(),
    metadata: Metadata,
    active_run_id: RunId.nullable(),
    created_at: Timestamp,
    updated_at: Timestamp,
  })
  .meta({ id: "Thread" });
export type Thread = z.infer<typeof Thread>;

const title = z.string().trim().max(300);

/** Without a project the thread gets a project of its own, named like the thread. */
export const CreateThread = z
  .strictObject({ project_id: ProjectId.optional(), title: title.default(""), metadata: Metadata.default({}) })
  .meta({ id: "CreateThread" });
export type CreateThread = z.infer<typeof CreateThread>;

export const UpdateThread = z
  .strictObject({ title: title.optional(), metadata: Metadata.optional() })
  .meta({ id: "UpdateThread" });
export type UpdateThread = z.infer<typeof UpdateThread>;

export const TextPart = z.strictObject({ type: z.literal("text"), text: z.string() });
export const ImagePart = z.strictObject({
  type: z.literal("image"),
  url: z.string(),
  media_type: z.string().optional(),
});
export const FilePart = z.strictObject({
  type: z.literal("file"),
  name: z.string(),
  path: z.string(),
  size: z.int().nonnegative().optional(),
});
export const MessagePart = z.discriminatedUnion("type", [TextPart, ImagePart, FilePart]).meta({ id: "MessagePart" });
export type MessagePart = z.infer<typeof MessagePart>;

/** A tool call as the model asked for it. `arguments` is the parsed object, or the raw text when it was not JSON. */
export const ToolCallRequest = z
  .object({ id: z.string(), name: z.string(), arguments: Json })
  .meta({ id: "ToolCallRequest" });
export type ToolCallRequest = z.infer<typeof ToolCallRequest>;

export const MessageRole = z.enum(["user", "assistant", "tool"]);
export type MessageRole = z.infer<typeof MessageRole>;

/** `seq` is dense per thread, from 0. `interrupted`: the run ended while the message was being written; what came is kept. */
export const Message = z
  .object({
    id: MessageId,
    thread_id: ThreadId,
    run_id: RunId.nullable(),
    seq: z.int().nonnegative(),
    role: MessageRole,
    status: z.enum(["complete", "interrupted"]),
    content: z.array(MessagePart),
    tool_calls: z.array(ToolCallRequest).optional(),
    tool_call_id: z.string().optional(),
    metadata: Metadata,
    created_at: Timestamp,
  })
  .meta({ id: "Message" });
export type Message = z.infer<typeof Message>;

/** The longest text that one message may carry, in characters (the JSON body limit is 1 MB). */
export const maxMessageText = 400_000;

/** Pictures that one message may carry. */
export const maxMessagePictures = 8;

/** What a model's provider fetches or reads. Pictures that stand in the message count to its body's limit of 1 MB. */
const pictureUrl = /^(https:\/\/[^\s/]+|data:image\/(png|jpeg|gif|webp);base64,[A-Za-z0-9+/]+={0,2}$)/;

const areUsable = (parts: readonly MessagePart[], context: z.RefinementCtx): void => {
  for (const [index, part] of parts.entries()) {
    if (part.type !== "image" || pictureUrl.test(part.url)) continue;
    const message = "must be an https: address, or a data: URL of a PNG, JPEG, GIF or WebP picture in base64";
    context.addIssue({ code: "custom", path: [index, "url"], message });
  }
  if (parts.filter((part) => part.type === "image").length > maxMessagePictures) {
    context.addIssue({ code: "custom", message: `a message has at most ${maxMessagePictures} pictures` });
  }
};

export const CreateMessage = z
  .strictObject({
    content: z.union([
      z.string().min(1).max(maxMessageText),
      z.array(MessagePart).min(1).max(100).superRefine(areUsable),
    ]),
    metadata: Metadata.default({}),
  })
  .meta({ id: "CreateMessage" });
export type CreateMessage = z.infer<typeof CreateMessage>;

/** Text as message content; no part at all for empty text. */
export const textParts = (text: string): MessagePart[] => (text === "" ? [] : [{ type: "text", text }]);
