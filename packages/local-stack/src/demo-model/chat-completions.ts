import { randomBytes } from "node:crypto";
import type { ServerResponse } from "node:http";
import { BAD_GATEWAY_PAGE, failureError } from "./failures.ts";
import type { Fault } from "./directives.ts";
import type { FaultCounter } from "./fault-counter.ts";
import type { Json } from "./model-error.ts";
import type { RecordedRequest } from "./recorded-requests.ts";
import { parseChatRequest } from "./request/chat-request.ts";
import { planAnswer } from "./script.ts";
import { withCallsInText } from "./text-calls.ts";
import { readTurn } from "./turn.ts";
import { createOutlet, gone } from "./wire/outlet.ts";
import { sendJson, sendPage } from "./wire/plain-answers.ts";
import { GARBAGE_FRAME } from "./wire/frames.ts";
import { type StreamFault, streamAnswer } from "./wire/stream-answer.ts";
import { wholeAnswer } from "./wire/whole-answer.ts";

interface Deps {
  faults: FaultCounter;
  delayMs: number;
}

/** `POST /v1/chat/completions`: read the turn, let a fault strike or the script play. Throws `ModelError` before the first byte. */
export async function answerChat(
  { faults, delayMs }: Deps,
  input: { response: ServerResponse; body: Json; record: RecordedRequest },
): Promise<void> {
  const { response, record } = input;
  const request = parseChatRequest(input.body);
  const turn = readTurn(request);
  const { directives } = turn;
  const due = directives.at === null || directives.at === turn.answers + 1 ? directives.faults : [];
  const fault = faults.take(request.messages, due);
  if (fault === null) faults.settle(request.messages, due);
  else if (fault.kind !== "hang" && fault.kind !== "stall") record.ended = "broken"; // those two the client ends
  if (fault?.kind === "fail") {
    refuse(response, fault);
    return;
  }
  if (fault?.kind === "hang") {
    await gone(createOutlet(response).signal);
    return;
  }
  const planned =
    fault?.kind === "empty" ? { reasoning: [], text: [], calls: [], finish: "stop" as const } : planAnswer(turn);
  const answer = request.mark === null ? planned : withCallsInText(planned, request.mark);
  const streamFault = fault === null || fault.kind === "empty" ? null : fault;
  const id = `chatcmpl-${randomBytes(12).toString("hex")}`;
  const created = Math.floor(Date.now() / 1000);
  const common = { id, created, request, answer, directives };
  if (request.stream) {
    const { chunks } = await streamAnswer(response, { ...common, fault: streamFault, delayMs });
    record.chunks = chunks;
    return;
  }
  if (streamFault !== null) {
    await breakWhole(response, streamFault);
    return;
  }
  const whole = wholeAnswer(common);
  record.chunks = whole.chunks;
  sendJson(response, 200, whole.body);
}

function refuse(response: ServerResponse, fault: Extract<Fault, { kind: "fail" }>): void {
  const error = failureError(fault.failure, fault.retryAfter);
  if (fault.failure === "502") sendPage(response, error.status, BAD_GATEWAY_PAGE, "text/html");
  else sendJson(response, error.status, error.body, error.headers);
}

/** What the faults of a stream mean where there is none. */
async function breakWhole(response: ServerResponse, fault: StreamFault): Promise<void> {
  switch (fault.kind) {
    case "cut":
    case "eof":
      response.destroy();
      return;
    case "garbage":
      sendPage(response, 200, GARBAGE_FRAME.slice("data: ".length).trim(), "application/json");
      return;
    case "errorframe":
      refuse(response, { kind: "fail", times: null, failure: "500", retryAfter: null });
      return;
    case "stall":
      await gone(createOutlet(response).signal);
  }
}
