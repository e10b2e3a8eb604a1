import { OpenAI } from "openai";

/** The model alone, through the same SDK: what no runtime can be faster than. */
export const askDirectly = async (input: { baseURL: string; apiKey: string; prompt: string }) => {
  const model = new OpenAI({ baseURL: input.baseURL, apiKey: input.apiKey, maxRetries: 0 });
  const startedAt = performance.now();
  const messages = [{ role: "user" as const, content: input.prompt }];
  const stream = await model.chat.completions.create({ model: "demo", messages, stream: true });
  let firstTextMs = 0;
  let text = "";
  let chunks = 0;
  for await (const chunk of stream) {
    const piece = chunk.choices[0]?.delta.content;
    if (!piece) continue;
    if (chunks === 0) firstTextMs = performance.now() - startedAt;
    chunks += 1;
    text += piece;
  }
  return { firstTextMs, endMs: performance.now() - startedAt, text, chunks };
};
