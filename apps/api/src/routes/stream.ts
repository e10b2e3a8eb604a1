import { AppError, type Cursor, parseCursor, RunEvent, RunId } from "@cortex/contracts";
import { asUser } from "@cortex/db";
import { type EnsureLog, follow, type RunFrame } from "@cortex/events";
import { ensureLog, findFollowedRun } from "@cortex/runs";
import { RESPONSE_ALREADY_SENT } from "@hono/node-server/utils/response";
import { createRoute, z } from "@hono/zod-openapi";
import type { Api } from "../request-context.ts";
import { found, problems, secured } from "../route-parts.ts";
import type { ApiServices } from "../services.ts";
import { sendRun } from "../stream/send-run.ts";
import { openReader, type StreamReader } from "../stream/stream-reader.ts";

const stream = createRoute({
  method: "get",
  path: "/agent-run/{agent_run_id}/stream",
  operationId: "streamRun",
  tags: ["runs"],
  security: [...secured, { ticket: [] }],
  summary: "Follow a run: its events from the cursor to its end",
  description: [
    "Server-sent events. Each has an `id`, the cursor `<epoch>.<seq>`, and as `data` one `RunEvent`. After the last one comes `event: done`.",
    "A stream that closes without `done` is continued by asking again with the last cursor.",
  ].join(" "),
  request: {
    params: z.object({ agent_run_id: RunId }),
    query: z.object({
      after: z.string().optional().describe("the cursor of the last event that the caller has"),
      ticket: z.string().optional().describe("instead of a token, for clients that cannot send headers"),
    }),
    headers: z.object({ "last-event-id": z.string().optional().describe("the same, as browsers send it; goes first") }),
  },
  responses: {
    200: { description: "The events", content: { "text/event-stream": { schema: RunEvent } } },
    204: { description: "The run has ended and the caller has everything" },
    ...problems("not_found", "invalid_cursor", "too_many_streams"),
  },
});

const readCursor = (text: string): Cursor | null => {
  if (text === "") return null;
  const cursor = parseCursor(text);
  if (!cursor) throw new AppError("invalid_cursor", "A cursor looks like 1.42: the id of the last event.");
  return cursor;
};

/**
 * The last thing that can be refused: the first frame comes when the cursor is known to be good. Null: the reader has everything.
 * @throws AppError `invalid_cursor`, `unavailable`
 */
const firstFrame = async (
  frames: AsyncGenerator<RunFrame, void, void>,
  reader: StreamReader,
): Promise<RunFrame | null> => {
  const first = await frames.next();
  if (!first.done) return first.value;
  if (reader.ended() !== null) throw new AppError("unavailable", "This server is about to stop.");
  return null;
};

export const registerStream = (api: Api, services: ApiServices): void => {
  const { db, tails, slots, eventLog, closing, timings } = services;

  api.openapi(stream, async (c) => {
    const { agent_run_id: runId } = c.req.valid("param");
    const caller = c.get("caller");
    const after = readCursor(c.req.valid("header")["last-event-id"] ?? c.req.valid("query").after ?? "");
    const findRun = () => asUser(db, { ...caller, reads: true }, (tx) => findFollowedRun(tx, { runId }));
    const { end } = found(await findRun(), "run");
    if (end && after && end.epoch === after.epoch && end.seq === after.seq) return c.body(null, 204);
    if (c.req.method === "HEAD") return c.body(null, 200);

    const { outgoing } = c.env;
    const { userId, accountId } = caller;
    const reader = openReader(outgoing, { closing, patienceMs: timings.patienceMs });
    const ensure: EnsureLog = ({ seen }) =>
      ensureLog({ db, log: eventLog }, { runId, scope: { userId, accountId }, as: "reader", seen });
    const frames = follow({ tails, ensure }, { runId, after, end, signal: reader.signal });
    const slot = slots.take({ userId, runId, lost: () => reader.end("crowded") });
    try {
      // At once: both ask Redis, and the first byte does not wait for two answers in a row.
      const [first] = await Promise.all([firstFrame(frames, reader), slot.taken]);
      if (first === null) return c.body(null, 204);

      const mayFollow = async () => Date.now() / 1_000 < caller.expiresAt && (await findRun()) !== null;
      const headers = c.res.headers;
      const ended = await sendRun({ outgoing, reader, headers, first, rest: frames, mayFollow, timings });
      if (ended !== "done") services.log.debug({ run_id: runId, ended }, "a stream ended before its run");
      return RESPONSE_ALREADY_SENT;
    } finally {
      reader.end("over");
      reader.release();
      slot.release();
      await frames.return();
    }
  });
};
