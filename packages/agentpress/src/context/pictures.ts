import type { MessagePart } from "@cortex/contracts";
import type { AgentMessage, ToolImage } from "../messages.ts";

/**
 * Pictures that one request may carry; providers bound both their number and the size of a request (Anthropic 32 MB, and ours have a megabyte
 * each at most). Beyond it the oldest are left out, a block at a time, so that the beginning of the prompt seldom changes.
 */
const maxPictures = 8;
const block = 4;

/** Bytes of one picture, before base64: what a provider takes, a row of a message can hold, and a request can carry a few of. */
export const maxPictureBytes = 1024 * 1024;

/** Pictures of one result. */
const maxPerResult = 4;

/** Of a result's pictures, the ones that are kept. */
export const storablePictures = (images: readonly ToolImage[]): ToolImage[] =>
  images.filter(({ data }) => data.length <= Math.ceil(maxPictureBytes / 3) * 4).slice(0, maxPerResult);

const leftOut: MessagePart = { type: "text", text: "[A picture stood here. It is left out to save room.]" };

const isPicture = (part: MessagePart): boolean => part.type === "image";

/** The conversation with its newest pictures only. */
export const withNewestPictures = (history: readonly AgentMessage[]): AgentMessage[] => {
  const count = history.reduce((sum, { content }) => sum + content.filter(isPicture).length, 0);
  let toDrop = Math.ceil(Math.max(0, count - maxPictures) / block) * block;
  if (toDrop === 0) return [...history];
  return history.map((message) => {
    if (toDrop === 0 || !message.content.some(isPicture)) return message;
    const content = message.content.map((part) => {
      if (toDrop === 0 || !isPicture(part)) return part;
      toDrop -= 1;
      return leftOut;
    });
    return { ...message, content };
  });
};
