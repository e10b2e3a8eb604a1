import { onTestFinished } from "vitest";
import type { AgentInput } from "../agent.ts";
import { createOpenAiModel, type OpenAiModel, type OpenAiModelOptions } from "../models/openai.ts";
import { tool as calculator } from "../tools/calculator.ts";
import { anInput, type Played, play } from "./run.ts";
import { type Answerer, type ScriptedEndpoint, type SeenRequest, startScriptedEndpoint } from "./scripted-endpoint.ts";

export const testKey = "test-key-0123456789";

/** The adapter before an endpoint that plays these answers; the waits are short, the rules are the real ones. Closed with the test. */
export const behind = async (
  answers: Answerer[],
  options: Partial<OpenAiModelOptions> = {},
): Promise<{ endpoint: ScriptedEndpoint; model: OpenAiModel }> => {
  const endpoint = await startScriptedEndpoint(...answers);
  const model = createOpenAiModel({
    baseURL: endpoint.url,
    apiKey: testKey,
    ...options,
    timeouts: { firstByteMs: 5_000, idleMs: 5_000, ...options.timeouts },
    retries: { baseMs: 5, ...options.retries },
  });
  onTestFinished(async () => {
    await model.close();
    await endpoint.close();
  });
  return { endpoint, model };
};

/** A whole run with the calculator, through the real adapter. */
export const runBehind = async (
  answers: Answerer[],
  options: Partial<OpenAiModelOptions> = {},
  input: AgentInput = anInput(),
): Promise<Played & { requests: SeenRequest[] }> => {
  const { endpoint, model } = await behind(answers, options);
  const played = await play({ model, tools: [calculator] }, input);
  return { ...played, requests: endpoint.requests };
};
