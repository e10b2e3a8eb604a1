import type { CallToolResult } from "@modelcontextprotocol/client";

export interface McpAnswer {
  content: string;
  isError: boolean;
}

type Block = CallToolResult["content"][number];

const sizeOf = (base64: string): string => `${Math.ceil((base64.length * 3) / 4 / 1024)} KB`;

const textOf = (block: Block): string => {
  switch (block.type) {
    case "text":
      return block.text;
    case "image":
    case "audio":
      return `[${block.type}, ${block.mimeType}, ${sizeOf(block.data)}: not shown]`;
    case "resource_link":
      return `[resource: ${block.uri}]`;
    case "resource": {
      const { resource } = block;
      return "text" in resource ? resource.text : `[resource: ${resource.uri}, ${sizeOf(resource.blob)}: not shown]`;
    }
  }
};

/** What a tool has answered, as text for a model. */
export const readAnswer = (result: CallToolResult): McpAnswer => {
  const texts = result.content.map(textOf).filter((text) => text !== "");
  const structured = result.structuredContent;
  if (texts.length === 0 && structured !== undefined) texts.push(JSON.stringify(structured));
  return { content: texts.join("\n") || "(no content)", isError: result.isError === true };
};
