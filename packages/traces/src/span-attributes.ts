import type { Usage } from "@cortex/contracts";
import type { Mask } from "@cortex/observability";
import { createObservationAttributes, LangfuseOtelSpanAttributes as Langfuse } from "@langfuse/tracing";
import type { Attributes } from "@opentelemetry/api";
import type { PlannedSpan } from "./plan-spans.ts";
import type { TracedRun } from "./traced-run.ts";

/** Longest input or output of a span, characters. Enough to see what went on; the whole of it is in our own timeline. */
const maxContent = 20_000;

/** Bytes in a text, which no trace can show. */
const dataUrl = /data:[\w/+.-]{1,100};base64,[\w+/=]{100,}/g;

/** As text, masked, bounded. Null: nothing to show. */
const contentOf = (value: unknown, mask: Mask): string | undefined => {
  if (value === null || value === undefined) return undefined;
  const text = typeof value === "string" ? value : JSON.stringify(value);
  // What lies beyond is cut before it is masked: a bounded part is all that this is worth. The margin keeps a secret from being cut in two.
  const near = text.replace(dataUrl, "[data]").slice(0, maxContent + 10_000);
  const clean = mask(near);
  return clean.length <= maxContent ? clean : `${clean.slice(0, maxContent)} […]`;
};

/** Langfuse adds the kinds up, so none may be in two of them: ours count the cached as input and the reasoning as output. */
const usageDetails = (usage: Usage): Record<string, number> => ({
  input: Math.max(0, usage.input_tokens - usage.cached_input_tokens - usage.cache_write_tokens),
  input_cached_tokens: usage.cached_input_tokens,
  input_cache_creation: usage.cache_write_tokens,
  output: Math.max(0, usage.output_tokens - usage.reasoning_tokens),
  output_reasoning_tokens: usage.reasoning_tokens,
  total: usage.input_tokens + usage.output_tokens,
});

const kindOf = { agent: "agent", generation: "generation", tool: "tool", wait: "span" } as const;

/** What names the trace; on every span of it, because any of them may be looked for. */
export const traceAttributes = (run: TracedRun): Attributes => ({
  [Langfuse.TRACE_NAME]: "agent-run",
  [Langfuse.TRACE_USER_ID]: run.userId ?? run.accountId,
  [Langfuse.TRACE_SESSION_ID]: run.threadId,
  [Langfuse.TRACE_TAGS]: [`agent:${run.agent.name}`, `status:${run.status}`],
  [`${Langfuse.TRACE_METADATA}.run_id`]: run.id,
  [`${Langfuse.TRACE_METADATA}.request_id`]: run.requestId,
  [`${Langfuse.TRACE_METADATA}.account_id`]: run.accountId,
  [`${Langfuse.TRACE_METADATA}.project_id`]: run.projectId,
  [`${Langfuse.TRACE_METADATA}.agent_id`]: run.agent.id,
  [`${Langfuse.TRACE_METADATA}.agent_version`]: String(run.agent.version),
});

/**
 * A span in the words of Langfuse and of OpenTelemetry.
 * @param options.content false: neither what was said nor arguments and results leave the house
 */
export const spanAttributes = (planned: PlannedSpan, options: { mask: Mask; content: boolean }): Attributes => {
  const { mask, content } = options;
  const text = (value: unknown) => (content ? contentOf(value, mask) : undefined);
  return {
    ...createObservationAttributes(kindOf[planned.kind], {
      input: text(planned.input),
      output: text(planned.output),
      level: planned.level,
      metadata: planned.metadata,
      ...(planned.statusMessage === null ? {} : { statusMessage: mask(planned.statusMessage) }),
      ...(planned.model === null ? {} : { model: planned.model }),
      ...(planned.usage === null ? {} : { usageDetails: usageDetails(planned.usage) }),
      ...(planned.costUsd === null ? {} : { costDetails: { total: planned.costUsd } }),
    }),
    ...planned.genAi,
  };
};
