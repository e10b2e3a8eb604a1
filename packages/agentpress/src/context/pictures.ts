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
const unseen: MessagePart = { type: "text", text: "[Here is a picture, which this model cannot see.]" };

const isPicture = (part: MessagePart): boolean => part.type === "image";

const hasPicture = ({ content }: AgentMessage): boolean => content.some(isPicture);

/** Made at each step, of the same messages. */
const blind = new WeakMap<AgentMessage, AgentMessage>();

/** The conversation for a model that cannot see. */
export const withoutPictures = (history: readonly AgentMessage[]): AgentMessage[] =>
  history.map((message) => {
    if (!hasPicture(message)) return message;
    const known = blind.get(message);
    if (known) return known;
    const told = { ...message, content: message.content.map((part) => (isPicture(part) ? unseen : part)) };
    blind.set(message, told);
    return told;
  });

/** The conversation with its newest pictures only. */
export const withNewestPictures = (history: readonly AgentMessage[]): AgentMessage[] => {
  const count = history.reduce((sum, { content }) => sum + content.filter(isPicture).length, 0);
  let toDrop = Math.ceil(Math.max(0, count - maxPictures) / block) * block;
  return history.map((message) => {
    if (toDrop === 0 || !hasPicture(message)) return message;
    const content = message.content.map((part) => {
      if (toDrop === 0 || !isPicture(part)) return part;
      toDrop -= 1;
      return leftOut;
    });
    return { ...message, content };
  });
};
