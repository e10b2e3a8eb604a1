/**
 * The bare floor: what the same way costs with nothing of Cortex on it. A BullMQ job asks the model and sends each chunk with one pipelined
 * RPUSH + PUBLISH; a raw node:http server forwards them as SSE. No authentication, no database, no fence, no order on reconnect.
 * `node bench/floor.ts server|worker`, with REDIS_URL, MODEL_BASE_URL, MODEL_API_KEY, FLOOR_PORT, FLOOR_CONCURRENCY in the environment.
 */
import { createServer } from "node:http";
import { Queue, Worker } from "bullmq";
import { Redis } from "ioredis";
import { OpenAI } from "openai";

const {
  REDIS_URL = "",
  MODEL_BASE_URL = "",
  MODEL_API_KEY = "",
  FLOOR_PORT = "0",
  FLOOR_CONCURRENCY = "10",
} = process.env;
const redis = new Redis(REDIS_URL, { maxRetriesPerRequest: null });

const work = (): void => {
  const model = new OpenAI({ baseURL: MODEL_BASE_URL, apiKey: MODEL_API_KEY, maxRetries: 0 });
  const send = (id: string, text: string) =>
    redis.pipeline().rpush(`floor:${id}`, text).publish(`floor:${id}:news`, text).exec();
  const worker = new Worker<{ id: string; prompt: string }>(
    "floor",
    async ({ data }) => {
      const messages = [{ role: "user" as const, content: data.prompt }];
      const stream = await model.chat.completions.create({
        model: "demo",
        messages,
        stream: true,
        stream_options: { include_usage: true },
      });
      let seq = 0;
      for await (const chunk of stream) {
        const text = chunk.choices[0]?.delta.content;
        if (text) void send(data.id, `${seq++}|${JSON.stringify({ type: "message.delta", text })}`);
      }
      await send(data.id, `${seq}|${JSON.stringify({ type: "run.completed" })}`);
      await redis.expire(`floor:${data.id}`, 60);
    },
    { connection: redis.duplicate(), concurrency: Number(FLOOR_CONCURRENCY), removeOnComplete: { count: 0 } },
  );
  process.once("SIGTERM", () => void worker.close().then(() => process.exit(0)));
};

const serve = (): void => {
  const queue = new Queue("floor", { connection: redis.duplicate() });
  const news = new Redis(REDIS_URL);
  const followers = new Map<string, (text: string) => void>();
  news.on("message", (channel: string, text: string) => followers.get(channel)?.(text));
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? "/", "http://floor");
    const id = pathname.slice(1);
    if (request.method === "POST") {
      let body = "";
      request.setEncoding("utf8").on("data", (part: string) => (body += part));
      request.on("end", () => {
        const run = crypto.randomUUID();
        const { prompt } = JSON.parse(body) as { prompt: string };
        void queue
          .add("run", { id: run, prompt })
          .then(() => response.writeHead(202).end(JSON.stringify({ agent_run_id: run })));
      });
      return;
    }
    response.writeHead(200, { "content-type": "text/event-stream" }).flushHeaders();
    let sent = 0;
    let early: string[] | null = [];
    const forward = (entry: string): void => {
      const bar = entry.indexOf("|");
      if (Number(entry.slice(0, bar)) !== sent) return;
      response.write(`id: 1.${sent++}\ndata: ${entry.slice(bar + 1)}\n\n`);
      if (entry.endsWith('"run.completed"}')) response.end();
    };
    followers.set(`floor:${id}:news`, (entry) => (early ? early.push(entry) : forward(entry)));
    void news.subscribe(`floor:${id}:news`).then(async () => {
      for (const entry of await redis.lrange(`floor:${id}`, 0, -1)) forward(entry);
      for (const entry of early ?? []) forward(entry);
      early = null;
    });
    response.on("close", () => void (followers.delete(`floor:${id}:news`) && news.unsubscribe(`floor:${id}:news`)));
  });
  server.listen(Number(FLOOR_PORT), "127.0.0.1", () => console.log(JSON.stringify(server.address())));
  process.once("SIGTERM", () => process.exit(0));
};

if (process.argv[2] === "worker") work();
else serve();
