import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";
import { z } from "zod";

const Value = z.union([
  z.strictObject({ stringValue: z.string() }),
  z.strictObject({ boolValue: z.boolean() }),
  z.strictObject({ intValue: z.union([z.string(), z.int()]) }),
  z.strictObject({ doubleValue: z.number() }),
  z.strictObject({ arrayValue: z.object({ values: z.array(z.object({ stringValue: z.string() })) }) }),
]);
const Attributes = z.array(z.object({ key: z.string().min(1), value: Value }));
const Nanoseconds = z.union([z.string().regex(/^\d{19}$/), z.int()]).transform((value) => BigInt(value));

/** What the protocol demands of a request, as far as we send it. */
const Request = z.object({
  resourceSpans: z.array(
    z.object({
      resource: z.object({ attributes: Attributes }),
      scopeSpans: z.array(
        z.object({
          spans: z.array(
            z
              .object({
                traceId: z.string().regex(/^(?!0{32})[0-9a-f]{32}$/),
                spanId: z.string().regex(/^(?!0{16})[0-9a-f]{16}$/),
                parentSpanId: z
                  .string()
                  .regex(/^[0-9a-f]{16}$/)
                  .optional(),
                name: z.string().min(1),
                startTimeUnixNano: Nanoseconds,
                endTimeUnixNano: Nanoseconds,
                attributes: Attributes,
                status: z.object({ code: z.int(), message: z.string().optional() }),
              })
              .refine((span) => span.startTimeUnixNano <= span.endTimeUnixNano, "a span ends before it begins"),
          ),
        }),
      ),
    }),
  ),
});

export interface CollectedSpan {
  traceId: string;
  spanId: string;
  parentSpanId: string | null;
  name: string;
  startMs: number;
  endMs: number;
  error: boolean;
  attributes: Record<string, string | number | boolean | string[]>;
}

export type CollectorMood = "fine" | "away" | "refuses" | "hangs" | "garbage";

export interface TraceCollector {
  url: string;
  /** How it answers from now on. */
  mood: CollectorMood;
  /** By their beginning. What came twice, by trace and span id, is one, as at Langfuse. */
  spans(): CollectedSpan[];
  requests: { path: string; headers: IncomingHttpHeaders; bytes: number; spans: number }[];
  /** What no collector would take. */
  complaints: string[];
  close(): Promise<void>;
}

const plain = (value: z.infer<typeof Value>): string | number | boolean | string[] => {
  if ("stringValue" in value) return value.stringValue;
  if ("boolValue" in value) return value.boolValue;
  if ("intValue" in value) return Number(value.intValue);
  if ("doubleValue" in value) return value.doubleValue;
  return value.arrayValue.values.map((each) => each.stringValue);
};

const millionth = 1_000_000n;

/**
 * A collector of OTLP over HTTP with JSON, shaped like Langfuse's: it takes spans on `/api/public/otel/v1/traces` with the keys that it was
 * given, and on `/v1/traces` without. Strict: what does not fit the protocol is a complaint.
 */
export const startTraceCollector = async (keys: { publicKey: string; secretKey: string }): Promise<TraceCollector> => {
  const byId = new Map<string, CollectedSpan>();
  const collector: Pick<TraceCollector, "mood" | "requests" | "complaints"> = {
    mood: "fine",
    requests: [],
    complaints: [],
  };
  const wanted = `Basic ${Buffer.from(`${keys.publicKey}:${keys.secretKey}`).toString("base64")}`;

  const take = (text: string): number => {
    const parsed = Request.safeParse(JSON.parse(text));
    if (!parsed.success) {
      collector.complaints.push(parsed.error.message);
      return 0;
    }
    const spans = parsed.data.resourceSpans.flatMap((each) => each.scopeSpans.flatMap((scope) => scope.spans));
    for (const span of spans) {
      byId.set(span.traceId + span.spanId, {
        traceId: span.traceId,
        spanId: span.spanId,
        parentSpanId: span.parentSpanId ?? null,
        name: span.name,
        startMs: Number(span.startTimeUnixNano / millionth),
        endMs: Number(span.endTimeUnixNano / millionth),
        error: span.status.code === 2,
        attributes: Object.fromEntries(span.attributes.map(({ key, value }) => [key, plain(value)])),
      });
    }
    return spans.length;
  };

  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const path = request.url ?? "";
      const body = Buffer.concat(chunks);
      const answer = (status: number, text: string) => {
        response.writeHead(status, { "content-type": "application/json" });
        response.end(text);
      };
      const seen = { path, headers: request.headers, bytes: body.length, spans: 0 };
      collector.requests.push(seen);
      if (collector.mood === "hangs") return;
      if (collector.mood === "away") return answer(500, "{}");
      if (collector.mood === "refuses") return answer(401, "{}");
      const ours = path === "/api/public/otel/v1/traces";
      if (!ours && path !== "/v1/traces") return answer(404, "{}");
      if (ours && request.headers.authorization !== wanted) return answer(401, "{}");
      if (request.headers["content-type"] !== "application/json") return answer(415, "{}");
      seen.spans = take(body.toString("utf8"));
      return answer(200, collector.mood === "garbage" ? "<html>" : "{}");
    });
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  const { port } = server.address() as AddressInfo;
  return Object.assign(collector, {
    url: `http://127.0.0.1:${port}`,
    spans: () => [...byId.values()].toSorted((left, right) => left.startMs - right.startMs),
    close: () =>
      new Promise<void>((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  });
};
