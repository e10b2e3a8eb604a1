import { describe, expect, test } from "vitest";
import type { AgentDeps } from "./agent.ts";
import type { AgentEvent } from "./events.ts";
import { type AgentMessage, textOf, userMessage } from "./messages.ts";
import { copyOf, keep, type Kept, nothingKept, pendingOf, storeLast } from "./testing/golden/keep.ts";
import { mark, stories, type Story, tools } from "./testing/golden/stories.ts";
import { transcript } from "./testing/golden/transcript.ts";
import { anInput, play } from "./testing/run.ts";
import { scriptedModel } from "./testing/scripted-model.ts";
import { withXmlTools } from "./xml/with-xml-tools.ts";

/** Plays a story from what is kept of it, and keeps on. */
const tell = async (
  story: Story,
  kept: Kept,
  onEvent: (event: AgentEvent) => void = () => undefined,
  signal?: AbortSignal,
) => {
  const scripted = scriptedModel(...story.steps.slice(kept.nextStep).flat());
  const deps: AgentDeps = {
    model: story.xml ? withXmlTools(scripted, { mark }) : scripted,
    tools,
    hooks: {
      nextMessages: async () => {
        const answered = kept.nextStep + (kept.unstored ? 1 : 0);
        if (!story.posted || kept.posted || answered <= story.posted.step) return [];
        // It was stored before; but what the model has not seen stands behind its answer.
        storeLast(kept);
        kept.posted = true;
        const message = userMessage(story.posted.text);
        kept.messages.push(message);
        return [message];
      },
    },
  };
  const limits = { ...anInput().limits, ...(story.maxRepeatedCalls && { maxRepeatedCalls: story.maxRepeatedCalls }) };
  const input = anInput({
    messages: [...kept.messages],
    firstStep: kept.nextStep,
    pendingToolCalls: pendingOf(kept),
    limits,
  });
  const played = await play(deps, input, {
    ...(signal && { signal }),
    onEvent: (event) => {
      keep(kept, event);
      onEvent(event);
    },
  });
  storeLast(kept);
  return { ...played, requests: scripted.requests };
};

/** Ids that the engine made up are different each time. */
const plain = (messages: readonly AgentMessage[]) => {
  const names = new Map<string, string>();
  const name = (id: string) => names.get(id) ?? names.set(id, `call ${names.size}`).get(id);
  return messages.map((message) => ({
    role: message.role,
    text: textOf(message.content),
    ...(message.role === "assistant" && {
      status: message.status,
      calls: message.tool_calls.map((call) => ({ ...call, id: name(call.id) })),
    }),
    ...(message.role === "tool" && { of: name(message.tool_call_id) }),
  }));
};

const nobodyKnows = "The run was interrupted during this call.";

/** The same, but that nobody knows the result of a call that must not be repeated. */
const expectSame = (messages: readonly AgentMessage[], whole: readonly AgentMessage[], uncertain: boolean) => {
  const expected = plain(whole);
  const seen = plain(messages).map((message, index) => {
    const isUnknown = message.role === "tool" && message.text.startsWith(nobodyKnows);
    if (!isUnknown) return message;
    expect(uncertain).toBe(true);
    return { ...message, text: expected[index]?.text };
  });
  expect(seen).toEqual(expected);
};

describe.each(stories)("$name", (story) => {
  test("goes as it is recorded", async () => {
    const kept = nothingKept(story.prompt);
    const stop = new AbortController();
    const { events, outcome } = await tell(
      story,
      kept,
      (event) => {
        if (event.type === story.stopAt) stop.abort("stopped");
      },
      stop.signal,
    );
    await expect(transcript(events, outcome, kept.messages)).toMatchFileSnapshot(`./testing/golden/${story.name}.txt`);
  });

  test("a crash at any of its events changes neither how it ends nor what it leaves", async () => {
    const whole = nothingKept(story.prompt);
    const states: Kept[] = [copyOf(whole)];
    const full = await tell(story, whole, () => states.push(copyOf(whole)));
    for (const [place, state] of states.entries()) {
      const kept = { ...copyOf(state), unstored: null };
      const begun = pendingOf(kept);
      const { outcome, requests } = await tell(story, kept);
      expect({ place, kind: outcome.kind, code: outcome.kind === "failed" && outcome.code }).toEqual({
        place,
        kind: full.outcome.kind,
        code: full.outcome.kind === "failed" && full.outcome.code,
      });
      const uncertain = begun.some((call) => call.state === "unknown");
      expectSame(kept.messages, whole.messages, uncertain);
      // And the model is asked for the rest with the same words. Of a step that asks twice, twice with the same.
      for (const [index, request] of requests.entries()) {
        const asked = story.steps.slice(0, state.nextStep + index).flat().length;
        const isRetry = story.steps.some((turns) => turns.length > 1);
        const same = full.requests[isRetry ? 0 : asked];
        if (!story.xml || !uncertain) expectSame(request.messages, same?.messages ?? [], uncertain);
      }
    }
  });
});
