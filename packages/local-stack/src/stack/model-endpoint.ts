import { randomBytes } from "node:crypto";
import { freePort } from "../ports.ts";
import type { StackSettings } from "../settings.ts";

/** Where workers find streaming chat completions. */
export type ModelEndpoint = {
  kind: StackSettings["model"];
  /** with its /v1, where there is one */
  baseUrl: string;
  apiKey: string;
  /** for agents that name none */
  defaultModel: string;
};

/** The endpoint that the settings ask for: LiteLLM, OpenAI, or the demo model on a free port with a key of its own. */
export async function chooseModelEndpoint(
  kind: StackSettings["model"],
  environment: Record<string, string | undefined>,
): Promise<ModelEndpoint> {
  const set = (name: string, fallback: string): string => environment[name]?.trim() || fallback;
  if (kind === "litellm") {
    const baseUrl = set("LITELLM_BASE_URL", "").replace(/\/+$/, "");
    return { kind, baseUrl, apiKey: set("LITELLM_API_KEY", ""), defaultModel: set("DEFAULT_MODEL", "gpt-5-mini") };
  }
  if (kind === "openai") {
    const baseUrl = set("OPENAI_BASE_URL", "https://api.openai.com/v1");
    return { kind, baseUrl, apiKey: set("OPENAI_API_KEY", ""), defaultModel: set("DEFAULT_MODEL", "gpt-5-mini") };
  }
  const baseUrl = `http://127.0.0.1:${await freePort()}/v1`;
  return { kind, baseUrl, apiKey: randomBytes(18).toString("base64url"), defaultModel: set("DEFAULT_MODEL", "demo") };
}
