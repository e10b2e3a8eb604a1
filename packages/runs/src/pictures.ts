import type { MessagePart } from "@cortex/contracts";

const inline = /^data:([^;,]{1,100})[;,]/;

/**
 * A message's content as a live log says it: pictures that stand in it have an empty `data:` URL. A log is held in memory by Redis and sent to every
 * follower; whoever wants to see them reads the message.
 */
export const withoutBytes = (content: readonly MessagePart[]): MessagePart[] =>
  content.map((part) => {
    const type = part.type === "image" ? inline.exec(part.url)?.[1] : undefined;
    return part.type !== "image" || type === undefined ? part : { ...part, url: `data:${type},` };
  });
