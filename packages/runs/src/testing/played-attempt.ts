import { type Recorder } from "../recorder.ts";
import { FencedError } from "../run.ts";
import type { RunInput } from "../run-input.ts";
import { defaultRunSettings } from "../settings.ts";
import {
  answered,
  answeredForPeople,
  called,
  limited,
  nothingElse,
  stepDone,
  waitsForPeople,
} from "./engine-script.ts";

/** What an engine may do next, from one barrier to the following. */
export type Move =
  | "preview"
  | "call tools"
  | "settle a call"
  | "end the step"
  | "begin a step"
  | "answer"
  | "complete"
  | "fail"
  | "wait"
  | "ask people"
  | "wait for people"
  | "stop";

type Phase = "asking" | "asked" | "acting" | "acted" | "between" | "answered";

const movesIn: Readonly<Record<Phase, readonly [Move, ...Move[]]>> = {
  asking: ["preview", "call tools", "wait", "answer", "wait", "fail", "call tools", "wait", "ask people", "ask people"],
  // Nothing of an answer acts before people have decided, whoever plays on: the only way on is the wait.
  asked: ["wait for people"],
  acting: ["settle a call"],
  acted: ["end the step"],
  between: ["begin a step"],
  answered: ["complete", "complete", "fail"],
};

export type Outcome = "ok" | "posted" | "parked" | "ended" | "fenced";

/** A call of the open step that has no result yet. */
interface PlayedCall {
  id: string;
  name: string;
  effect: "pure" | "once";
  unknown: boolean;
  approval: boolean;
}

/** A worker's attempt at a run, played move by move; it does not know whether it is superseded. */
export interface PlayedAttempt {
  runId: string;
  attempt: number;
  /** The move that a number stands for now. */
  move(choice: number, stopHeard: boolean): Move;
  /** Does this move write to Postgres now? The others reach the log at most. */
  writes(move: Move): boolean;
  /** Does it store a step, if it counts? */
  storesStep(move: Move): boolean;
  play(move: Move): Promise<Outcome>;
  /** The thread's next message, as the attempt knows it. */
  nextSeq(): number;
  /** Calls that were claimed and have not begun. */
  notBegun(): string[];
}

export const playAttempt = (input: {
  runId: string;
  attempt: number;
  recorder: Recorder;
  input: RunInput;
}): PlayedAttempt => {
  const { recorder, runId, attempt } = input;
  const { left, firstStep } = input.input;
  let step = left ? left.open.step : firstStep;
  let calls = (left?.calls ?? []).flatMap(({ call, state }): PlayedCall[] => {
    if (state === "done") return [];
    const effect = call.name === "shell" ? "once" : "pure";
    return [{ id: call.id, name: call.name, effect, unknown: state === "unknown", approval: state === "awaiting" }];
  });
  const begun = (): Phase => (calls.some(({ approval }) => approval) ? "asked" : calls.length > 0 ? "acting" : "acted");
  let phase: Phase = left ? begun() : "asking";

  /** An answer with a call of each kind; the one with an effect needs a person, or none does. */
  const newCalls = (approval: boolean): PlayedCall[] =>
    (["once", "pure"] as const).map((effect) => ({
      id: `${runId} ${attempt}.${step} ${effect}`,
      name: effect === "once" ? "shell" : "calculator",
      effect,
      unknown: false,
      approval: approval && effect === "once",
    }));

  const act = async (move: Move): Promise<Outcome> => {
    switch (move) {
      case "preview":
        await recorder.record({ type: "message.delta", message_id: crypto.randomUUID() as never, text: "It is" });
        return "ok";
      case "call tools": {
        calls = newCalls(false);
        await recorder.record(answered(step, "Let me see.", calls));
        phase = begun();
        return "ok";
      }
      case "settle a call": {
        const call = calls.shift();
        if (!call) throw new Error("there is no call to settle");
        const done = called(call.id, call.name, call.unknown ? "nobody knows" : "15").at(-1);
        if (done?.type !== "tool_call.completed") throw new Error("a call ends with its result");
        phase = begun();
        await recorder.record(call.unknown ? { ...done, is_error: true, effect_state: "unknown" } : done);
        return "ok";
      }
      case "end the step":
        await recorder.record(stepDone(step));
        step += 1;
        phase = "between";
        return "ok";
      case "begin a step":
        await recorder.record({ type: "step.started", step, model: "demo" });
        phase = "asking";
        return "ok";
      case "answer":
        await recorder.record(answered(step, "It is 15."));
        phase = "answered";
        return "ok";
      case "complete": {
        const ended = await recorder.finish({ kind: "completed", ...nothingElse });
        step += 1;
        phase = "between";
        return ended.kind;
      }
      case "fail": {
        const error = { code: "model_upstream", message: "away", retryable: true } as const;
        await recorder.finish({ kind: "failed", ...error, interrupted: null, ...nothingElse });
        return "ended";
      }
      case "wait": {
        // Long enough that no wait ends by itself while a story is played.
        const parked = await recorder.park(limited(600_000, "0.0003"), defaultRunSettings);
        if (parked.kind === "parked") return "parked";
        await recorder.finish(parked.outcome);
        return "ended";
      }
      case "ask people": {
        calls = newCalls(true);
        await recorder.record(answeredForPeople(step, calls));
        phase = begun();
        return "ok";
      }
      case "wait for people": {
        const parked = await recorder.park(waitsForPeople(calls), defaultRunSettings);
        if (parked.kind === "parked") return "parked";
        await recorder.finish(parked.outcome);
        return "ended";
      }
      case "stop": {
        const unfinished = calls.map(({ id, name }) => ({
          tool_call_id: id,
          name,
          result: "not known",
          effect_state: name === "shell" && phase !== "asked" ? ("unknown" as const) : ("none" as const),
        }));
        const aborted = unfinished.map(({ name }) => `tool call ${name}`);
        await recorder.finish({ kind: "aborted", interrupted: null, unfinished, aborted, killed: [], ...nothingElse });
        return "ended";
      }
    }
  };

  return {
    runId,
    attempt,
    move: (choice, stopHeard) => {
      const moves: readonly [Move, ...Move[]] = stopHeard ? ["stop", ...movesIn[phase]] : movesIn[phase];
      return moves[choice % moves.length] ?? moves[0];
    },
    // The last result of a step waits for the end of it, and an answer without calls for what follows.
    writes: (move) =>
      move === "settle a call" ? calls.length > 1 : !["preview", "begin a step", "answer"].includes(move),
    storesStep: (move) =>
      move === "call tools" || move === "ask people" || move === "end the step" || phase === "answered",
    play: async (move) => {
      try {
        return await act(move);
      } catch (error) {
        if (error instanceof FencedError) return "fenced";
        throw error;
      }
    },
    nextSeq: recorder.nextSeq,
    notBegun: () => calls.map(({ id }) => id),
  };
};
