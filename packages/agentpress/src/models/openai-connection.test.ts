import { silentLogger } from "@cortex/observability";
import { eventually } from "@cortex/testing";
import { expect, test } from "vitest";
import { userMessage } from "../messages.ts";
import type { ModelEvent, ModelRequest } from "../model.ts";
import { behind, runBehind } from "../testing/behind-endpoint.ts";
import { anInput, ofType, play } from "../testing/run.ts";
import {
  type Answerer,
  answersText,
  callPiece,
  chunk,
  cutAfter,
  ending,
  fails,
  frame,
  hangs,
  streams,
  textPiece,
} from "../testing/scripted-endpoint.ts";

test("after the finish the answer is whole, whatever the connection does", async () => {
  for (const then of ["cut", "hang"] as const) {
    const frames = [textPiece("Whole."), chunk({}, "stop")];
    const { outcome, events } = await runBehind([streams(frames, then)], {
      timeouts: { afterFinishMs: 50, idleMs: 60_000 },
    });
    expect(outcome.kind).toBe("completed");
    expect(ofType(events, "message.discarded")).toHaveLength(0);
  }
});

test("an abort ends the call at once, before and in the middle of an answer, and the endpoint sees it", async () => {
  for (const answer of [hangs, streams([textPiece("Once ")], "hang")]) {
    const stop = new AbortController();
    const { endpoint, model } = await behind([
      async (response) => {
        await answer(response);
        stop.abort("stopped");
      },
    ]);
    const { outcome } = await play({ model, tools: [] }, anInput(), { signal: stop.signal });
    expect(outcome).toMatchObject({ kind: "aborted", reason: "stopped", aborted: ["model call"] });
    await eventually(() => endpoint.requests[0]?.aborted);
  }
});

test("a consumer that takes its time is not the endpoint's silence", async () => {
  const { model } = await behind([answersText("One two three.")], { timeouts: { idleMs: 400, firstByteMs: 400 } });
  // One word while the first byte is watched for, one while the next event is.
  let held = 0;
  const { events, outcome } = await play({ model, tools: [] }, anInput(), {
    onEvent: async (event) => {
      const startedAt = performance.now();
      if (event.type !== "message.delta" || held === 2) return;
      held += 1;
      await eventually(() => performance.now() - startedAt > 600);
    },
  });
  expect(outcome.kind).toBe("completed");
  expect(ofType(events, "message.discarded")).toHaveLength(0);
});

test("an abort ends the wait for another try", async () => {
  const stop = new AbortController();
  const limited = fails(429, {}, { "retry-after": "1" });
  const log = silentLogger();
  const { model } = await behind([limited], { log });
  // The adapter says that it will wait right before it does.
  log.info = () => stop.abort("stopped");
  const { outcome } = await play({ model, tools: [] }, anInput(), { signal: stop.signal });
  expect(outcome).toMatchObject({ kind: "aborted", reason: "stopped" });
});

test("connections are kept, also when the end of the body comes long after its last event", async () => {
  const gates: PromiseWithResolvers<void>[] = [];
  const late: Answerer = async (response) => {
    const gate = Promise.withResolvers<void>();
    gates.push(gate);
    await streams([textPiece("Hi"), ...ending()], "hang")(response);
    await gate.promise;
    response.end();
  };
  const { endpoint, model } = await behind([late]);
  const request: ModelRequest = {
    model: "demo",
    instructions: "",
    messages: [userMessage("hi")],
    tools: [],
    parameters: {},
    headers: {},
  };
  for (let n = 0; n < 5; n += 1) {
    const events: ModelEvent[] = [];
    // The answer ends with its last event, not with its connection.
    for await (const event of model.stream(request, new AbortController().signal)) events.push(event);
    expect(events.at(-2)).toEqual({ type: "finish", reason: "stop" });
    gates[n]?.resolve();
    await eventually(() => endpoint.requests[n]?.finished || endpoint.requests[n]?.aborted);
  }
  expect(endpoint.requests.map((seen) => seen.connection)).toEqual([0, 0, 0, 0, 0]);
});

test("cut after every byte, an answer is whole or it is nothing", async () => {
  const frames = [
    callPiece(0, '{"expression":', { id: "a", name: "calculator" }),
    callPiece(0, '"1+1"}'),
    ...ending("tool_calls"),
  ];
  const whole = frames.map(frame).join("");
  const finishAt = whole.indexOf('"finish_reason":"tool_calls"');
  for (let length = 1; length < whole.length; length += 37) {
    const cut: Answerer = async (response) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      await cutAfter(response, whole.slice(0, length));
    };
    const { outcome, events } = await runBehind([cut, answersText("I give up.")]);
    expect(outcome.kind).toBe("completed");
    const ran = ofType(events, "tool_call.completed").length;
    // Before the finish nothing may run; after it the answer is whole, and one of the two has happened.
    expect(ran).toBeLessThanOrEqual(length < finishAt ? 0 : 1);
    expect(ofType(events, "message.discarded").length + ran).toBeLessThanOrEqual(1);
  }
});
