/**
 * What the engine adds to a streamed chunk. Run: `npm run bench -w packages/agentpress`
 *
 * One server process sends 10,000 chunks per answer. Three readers of the same stream take turns: the bare iteration of the openai
 * package, our adapter, and the whole engine with a consumer that only counts. The difference to the first, per chunk, is the overhead; the
 * engine's must stay below `barMicros` at the median, else the command fails. Only a quiet machine can say so.
 */
import { fork } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { OpenAI } from "openai";
import { z } from "zod";
import { createOpenAiModel, type ModelRequest, runAgent, userMessage } from "../index.ts";

const chunks = 10_000;
const rounds = 9;
const barMicros = 20;

const serve = (): void => {
  const frame = (delta: object, finish: string | null) =>
    `data: ${JSON.stringify({ id: "chatcmpl-1", object: "chat.completion.chunk", created: 1, model: "bench", choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`;
  const word = frame({ content: "word " }, null);
  const body = Buffer.from(`${word.repeat(chunks)}${frame({}, "stop")}data: [DONE]\n\n`);
  const server = createServer((request, response) => {
    request.resume();
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.end(body);
  });
  server.listen(0, "127.0.0.1", () => process.send?.((server.address() as AddressInfo).port));
  process.on("disconnect", () => process.exit(0));
};

const median = (values: number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;

const measure = async (): Promise<void> => {
  const child = fork(new URL(import.meta.url), ["serve"], { stdio: "inherit" });
  const [port] = z.tuple([z.number()], z.unknown()).parse(await once(child, "message"));
  const baseURL = `http://127.0.0.1:${port}/v1`;
  const client = new OpenAI({ baseURL, apiKey: "x", maxRetries: 0 });
  const model = createOpenAiModel({ baseURL, apiKey: "x" });
  const signal = new AbortController().signal;
  const request: ModelRequest = {
    model: "bench",
    instructions: "",
    messages: [userMessage("hi")],
    tools: [],
    parameters: {},
    headers: {},
  };

  const readers = {
    "openai package alone": async () => {
      let seen = 0;
      const stream = await client.chat.completions.create({
        model: "bench",
        messages: [{ role: "user", content: "hi" }],
        stream: true,
        stream_options: { include_usage: true },
      });
      for await (const chunk of stream) if (chunk.choices[0]?.delta.content) seen += 1;
      return seen;
    },
    adapter: async () => {
      let seen = 0;
      for await (const event of model.stream(request, signal)) if (event.type === "text") seen += 1;
      return seen;
    },
    engine: async () => {
      let seen = 0;
      const input = {
        runId: "00000000-0000-4000-8000-000000000001",
        requestId: "bench",
        instructions: "",
        messages: request.messages,
        model: "bench",
        limits: { maxSteps: 1, deadline: new Date(Date.now() + 600_000) },
        firstStep: 0,
      };
      for await (const event of runAgent({ model, tools: [] }, input, signal))
        if (event.type === "message.delta") seen += 1;
      return seen;
    },
  };

  const times: Record<string, number[]> = {};
  for (let round = -2; round < rounds; round += 1) {
    for (const [name, read] of Object.entries(readers)) {
      const startedAt = performance.now();
      const seen = await read();
      const perChunk = ((performance.now() - startedAt) * 1_000) / chunks;
      if (seen !== chunks) throw new Error(`${name} saw ${seen} of ${chunks} chunks`);
      if (round >= 0) (times[name] ??= []).push(perChunk);
    }
  }
  const floor = median(times["openai package alone"] ?? []);
  for (const [name, values] of Object.entries(times)) {
    const own = median(values);
    process.stdout.write(
      `${name.padEnd(22)} ${own.toFixed(2)} µs a chunk, ${(own - floor).toFixed(2)} µs over the package alone\n`,
    );
  }
  const overhead = median(times["engine"] ?? []) - floor;
  const met = overhead < barMicros;
  process.stdout.write(`bar: below ${barMicros} µs: ${met ? "met" : "NOT met"}\n`);
  process.exitCode = met ? 0 : 1;
  child.disconnect();
  await model.close();
};

if (process.argv[2] === "serve") serve();
else await measure();
