import type { AgentInput } from "../agent.ts";
import type { AgentMessage } from "../messages.ts";
import type { AskedModel } from "../models/asked-model.ts";
import { withLeastOutputs, withOldOutputsLeftOut } from "./outputs.ts";
import { withNewestPictures, withoutPictures } from "./pictures.ts";
import { defaultAssumedWindow, type Room, roomOf } from "./room.ts";

/** How one run keeps its conversation within the window of whoever it asks. */
export interface RunContext {
  roomFor(model: AskedModel): Room;
  /** A model has said that it takes no more than this to read, tokens. It is believed. */
  believe(model: AskedModel, input: number): void;
  /** No summary could be had, or it was not enough: even the newest results are cut. */
  least: boolean;
  /** Tries in a row that gave no summary. */
  failures: number;
  /** A stranger may have written parts of what a summary stands for. */
  tainted: boolean;
  /** Ids of tool calls that the conversation does not show any more. */
  takenIds: Set<string>;
}

export const startContext = (input: AgentInput): RunContext => {
  const { window, assumedWindow = defaultAssumedWindow } = input.context ?? {};
  const believed = new Map<string, number>();
  return {
    roomFor: ({ name, known }) => {
      const maxOutput = input.parameters?.maxOutputTokens ?? known?.max_output_tokens ?? null;
      const own = name === input.model ? window : undefined;
      const room = roomOf(own ?? known?.context_window ?? assumedWindow, maxOutput);
      const most = believed.get(name);
      return most === undefined || most >= room.input
        ? room
        : { window: Math.ceil(room.window * (most / room.input)), input: most };
    },
    believe: ({ name }, most) => void believed.set(name, Math.min(most, believed.get(name) ?? most)),
    least: false,
    failures: 0,
    tainted: input.tainted ?? false,
    takenIds: new Set(input.takenCallIds),
  };
};

/** The least share of the room that is the conversation's, however long the prompt and the tools are. */
const leastForMessages = 0.1;

/**
 * What of a conversation is sent to a model.
 * @param fixed tokens of what else is sent: the prompt and the tools
 */
export const messagesToSend = (
  context: RunContext,
  model: AskedModel,
  history: readonly AgentMessage[],
  fixed: number,
): readonly AgentMessage[] => {
  const { input } = context.roomFor(model);
  const tokens = Math.max(input - fixed, Math.floor(input * leastForMessages));
  // A stranger may be blind, and a picture that an endpoint refuses would fail every step of the conversation.
  const seen = model.known?.abilities.images ? withNewestPictures(history) : withoutPictures(history);
  const lighter = withOldOutputsLeftOut(seen, tokens);
  return context.least ? withLeastOutputs(lighter, tokens) : lighter;
};
