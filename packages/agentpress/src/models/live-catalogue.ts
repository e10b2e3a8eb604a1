import type { Logger } from "@cortex/observability";
import { z } from "zod";
import { fileCatalogue, type ModelCatalogue } from "./catalogue.ts";
import { readDeployments, withProxyModels } from "./proxy-models.ts";

/** For the whole answer. Far below any sensible `everyMs`, so that two requests never overlap. */
const timeoutMs = 10_000;

/** LiteLLM says about 2 KB for each deployment. Bytes. */
const maxBytes = 16 * 1024 * 1024;

/** What is known about models at the moment. Nobody waits for it: until the endpoint has answered, it is what the data file says. */
export interface LiveCatalogue {
  current(): ModelCatalogue;
  /** Asks the endpoint now. Never rejects: what cannot be had leaves what is known. */
  refresh(): Promise<void>;
  close(): void;
}

/** Without what the endpoint wrote, which may be anything. */
const reasonOf = (error: unknown): string => {
  if (error instanceof SyntaxError || error instanceof z.ZodError) return "it is no answer of LiteLLM's";
  return error instanceof Error ? error.message : "unknown";
};

const read = async (response: Response): Promise<unknown> => {
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  for await (const piece of response.body ?? []) {
    bytes += piece.length;
    if (bytes > maxBytes) throw new Error(`the answer is longer than ${maxBytes} bytes`);
    pieces.push(piece);
  }
  return JSON.parse(Buffer.concat(pieces).toString());
};

/**
 * The data file's catalogue, kept up to date with what LiteLLM says of its models (`GET /model/info`): once now, then every `everyMs`, in
 * the background. An endpoint that is no LiteLLM, or does not tell us, changes nothing and is asked again.
 * @param input.baseURL the endpoint with its version: `http://127.0.0.1:4000/v1`
 */
export const openLiveCatalogue = (
  deps: { log: Logger },
  input: { baseURL: string; apiKey: string; everyMs: number; file?: ModelCatalogue },
): LiveCatalogue => {
  const file = input.file ?? fileCatalogue;
  const closing = new AbortController();
  let current = file;
  let trouble: string | null = null;

  const ask = async (): Promise<ModelCatalogue> => {
    const response = await fetch(`${input.baseURL.replace(/\/+$/, "")}/model/info`, {
      headers: { authorization: `Bearer ${input.apiKey}` },
      // The key goes to this endpoint and nowhere else.
      redirect: "error",
      signal: AbortSignal.any([closing.signal, AbortSignal.timeout(timeoutMs)]),
    });
    if (!response.ok) {
      await response.body?.cancel();
      throw new Error(`status ${response.status}`);
    }
    return withProxyModels(file, readDeployments(await read(response)), new Date());
  };

  const refresh = async (): Promise<void> => {
    try {
      current = await ask();
      if (trouble !== null) deps.log.info("the model endpoint tells about its models again");
      trouble = null;
    } catch (error) {
      if (closing.signal.aborted) return;
      const reason = reasonOf(error);
      // Once, not every few minutes: for an endpoint that is no LiteLLM this is how it is.
      if (trouble !== reason) deps.log.info({ reason }, "the model endpoint does not tell about its models");
      trouble = reason;
    }
  };

  let timer: NodeJS.Timeout | undefined;
  const keepFresh = async (): Promise<void> => {
    await refresh();
    if (closing.signal.aborted) return;
    timer = setTimeout(() => void keepFresh(), input.everyMs);
    timer.unref();
  };
  void keepFresh();

  return {
    current: () => current,
    refresh,
    close: () => {
      closing.abort();
      clearTimeout(timer);
    },
  };
};
