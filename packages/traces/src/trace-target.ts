import type { Mask } from "@cortex/observability";
import { LangfuseSpanProcessor } from "@langfuse/otel";
import {
  type Attributes,
  ROOT_CONTEXT,
  type SpanContext,
  SpanStatusCode,
  trace,
  type Tracer,
} from "@opentelemetry/api";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { BasicTracerProvider, BatchSpanProcessor, type SpanProcessor } from "@opentelemetry/sdk-trace-base";
import { planSpans, type PlannedSpan } from "./plan-spans.ts";
import { spanAttributes, traceAttributes } from "./span-attributes.ts";
import { GivenIds } from "./span-ids.ts";
import type { TracedRun } from "./traced-run.ts";

/** Where traces go. */
export interface TraceTarget {
  /** Stored beside what was sent: it must not change. */
  readonly name: "langfuse" | "otlp";
  /**
   * Sends the trace of a run. Sending it again changes nothing at Langfuse, because every span keeps its id.
   * @throws whatever the target answers, or that it does not
   */
  send(run: TracedRun): Promise<void>;
  close(): Promise<void>;
}

export interface TraceSettings {
  langfuse: { publicKey: string; secretKey: string; baseUrl: string } | null;
  /** A collector of OTLP over HTTP with JSON; `url` is the whole address, usually with `/v1/traces`. */
  otlp: { url: string; headers: Readonly<Record<string, string>> } | null;
  /** Shown in Langfuse, for instance `production`. */
  environment: string;
  /** False: only names, times, tokens and money are sent. */
  content: boolean;
  /** Longest time of one request, milliseconds. */
  timeoutMs: number;
  mask: Mask;
}

/** Spans of one request. The batching processor sends by itself from 512 on, and what fails then nobody hears of. < 512 */
const spansPerRequest = 256;
/** Characters of one request, about; Langfuse refuses requests of more than a few megabytes. */
const charsPerRequest = 2_000_000;

const sizeOf = (attributes: Attributes): number =>
  Object.values(attributes).reduce((sum: number, value) => sum + (typeof value === "string" ? value.length : 16), 0);

const openTarget = (name: TraceTarget["name"], processor: SpanProcessor, settings: TraceSettings): TraceTarget => {
  const ids = new GivenIds();
  const provider = new BasicTracerProvider({
    idGenerator: ids,
    resource: resourceFromAttributes({
      "service.name": "cortex",
      "deployment.environment.name": settings.environment,
    }),
    // Ours are bounded where they are made.
    spanLimits: { attributeCountLimit: 256 },
    spanProcessors: [processor],
  });
  const tracer: Tracer = provider.getTracer("cortex");

  const emit = (run: TracedRun, planned: PlannedSpan, attributes: Attributes, parent: SpanContext | null) => {
    ids.next(run.id, planned.key);
    const context = parent ? trace.setSpanContext(ROOT_CONTEXT, parent) : ROOT_CONTEXT;
    const span = tracer.startSpan(planned.name, { startTime: planned.startedAt, attributes }, context);
    if (planned.level === "ERROR") {
      span.setStatus({
        code: SpanStatusCode.ERROR,
        ...(planned.statusMessage === null ? {} : { message: settings.mask(planned.statusMessage) }),
      });
    }
    span.end(planned.endedAt);
    return span.spanContext();
  };

  return {
    name,
    send: async (run) => {
      const { root, children } = planSpans(run);
      const common = traceAttributes(run);
      let parent: SpanContext | null = null;
      let spans = 0;
      let chars = 0;
      for (const planned of [root, ...children]) {
        const attributes = { ...common, ...spanAttributes(planned, settings) };
        const size = sizeOf(attributes);
        if (spans >= spansPerRequest || (spans > 0 && chars + size > charsPerRequest)) {
          await provider.forceFlush();
          spans = 0;
          chars = 0;
        }
        const emitted: SpanContext = emit(run, planned, attributes, parent);
        parent ??= emitted;
        spans += 1;
        chars += size;
      }
      await provider.forceFlush();
    },
    close: () => provider.shutdown(),
  };
};

/** Opens the targets that are configured; none is fine. Nothing is sent before the first trace. */
export const openTraceTargets = (settings: TraceSettings): TraceTarget[] => {
  const { langfuse, otlp, timeoutMs } = settings;
  const targets: TraceTarget[] = [];
  if (langfuse) {
    const processor = new LangfuseSpanProcessor({
      ...langfuse,
      environment: settings.environment,
      timeout: timeoutMs / 1_000,
      // All that we send is meant for it, and pictures are left out before.
      shouldExportSpan: () => true,
      mediaUploadEnabled: false,
    });
    targets.push(openTarget("langfuse", processor, settings));
  }
  if (otlp) {
    const exporter = new OTLPTraceExporter({ url: otlp.url, headers: { ...otlp.headers }, timeoutMillis: timeoutMs });
    targets.push(openTarget("otlp", new BatchSpanProcessor(exporter), settings));
  }
  return targets;
};
