import { EgressError, type SafeFetch } from "@cortex/egress";
import {
  Client,
  ProtocolError,
  SdkErrorCode,
  SdkError,
  SdkHttpError,
  StreamableHTTPClientTransport,
} from "@modelcontextprotocol/client";
import { z } from "zod";
import { type McpAnswer, readAnswer } from "./call-result.ts";
import { hideCredentials, withoutCredentials } from "./hide-credentials.ts";
import { type McpListing, readListing } from "./listing.ts";
import { McpError } from "./mcp-error.ts";
import { serverFetch } from "./server-fetch.ts";

/** How a server is reached. Whoever changes any of it gives it another `revision`: connections are kept by it. */
export interface McpAddress {
  id: string;
  revision: string;
  /** As people know it. */
  name: string;
  url: string;
  /** Credentials included. */
  headers: Readonly<Record<string, string>>;
}

/** Of a connection with its handshake, and of a listing with all its pages. A person or a run waits for it. */
const connectMs = 10_000;
const listMs = 10_000;
const maxListPages = 16;
/** Far more than `readListing` takes; a page may be megabytes of them. */
const maxListed = 1_000;

/** A page of a listing. Its tools are read one by one, because one that is misshapen must not hide the others, as the library's own listing would. */
const ToolsPage = z.object({ tools: z.array(z.unknown()), nextCursor: z.string().optional() });

export interface ServerConnection {
  list(signal: AbortSignal): Promise<McpListing>;
  call(
    input: { name: string; args: Record<string, unknown>; timeoutMs: number },
    signal: AbortSignal,
  ): Promise<McpAnswer>;
  close(): Promise<void>;
}

/** The refusal of our own client, wherever the library has put it. */
const egressError = (error: unknown): EgressError | null => {
  for (let at = error, depth = 0; at instanceof Error && depth < 5; at = at.cause, depth += 1)
    if (at instanceof EgressError) return at;
  return null;
};

/** Nothing of a server's own words about our request is repeated: they may hold the headers that it got. */
const explain = (error: unknown, name: string, asked: boolean, hide: (text: string) => string): McpError => {
  const sessionLost = error instanceof SdkHttpError && error.status === 404;
  const cause = withoutCredentials(error, hide);
  const say = (code: McpError["code"], message: string, mayHaveActed: boolean) =>
    new McpError(code, `The MCP server "${name}" ${message}`, { mayHaveActed, sessionLost, cause });
  const egress = egressError(error);
  if (egress) {
    const passing = egress.code === "timeout" || egress.code === "too_large" || egress.code === "bad_response";
    return say(asked ? "broken" : "unreachable", `cannot be reached: ${egress.message}`, asked && passing);
  }
  if (error instanceof SdkHttpError) {
    const { status } = error;
    if (status === 401 || status === 403) return say("unauthorized", `refuses our credentials (${status}).`, false);
    if (status >= 400 && status < 500) return say("unreachable", `refuses the request (${status}).`, false);
    return say("broken", `failed (${status}).`, asked);
  }
  if (error instanceof Error && error.name === "UnauthorizedError")
    return say("unauthorized", "refuses our credentials (401).", false);
  if (error instanceof SdkError && error.code === SdkErrorCode.RequestTimeout)
    return say("broken", "did not answer in time.", asked);
  return say("broken", "gave no answer that can be understood.", asked);
};

/** Output schemas are the server's promise to itself. To check them would be to run a stranger's schema on a stranger's data. */
const trustingValidator = {
  getValidator: () => (data: unknown) => ({ valid: true as const, data, errorMessage: undefined }),
};

/**
 * Connects to a server, of the protocol's old era (sessions) or its new one (stateless), whichever it speaks.
 * @throws McpError; the signal's reason
 */
export const connectServer = async (
  deps: { fetch: SafeFetch },
  address: McpAddress,
  options: { callMs: number },
  signal: AbortSignal,
): Promise<ServerConnection> => {
  const { name } = address;
  const hide = hideCredentials(address.headers);
  const client = new Client(
    { name: "cortex", version: "0.1.0" },
    {
      versionNegotiation: { mode: "auto", probe: { timeoutMs: connectMs } },
      // A server may not ask its client, let alone our users, for anything.
      inputRequired: { autoFulfill: false },
      jsonSchemaValidator: trustingValidator as never,
    },
  );
  // Without a listener the library throws into the air.
  // oxlint-disable-next-line prefer-add-event-listener -- it is no event target
  client.onerror = () => undefined;
  const transport = new StreamableHTTPClientTransport(new URL(address.url), {
    fetch: serverFetch(deps.fetch, Math.max(connectMs, options.callMs)),
    requestInit: { headers: { ...address.headers } },
    reconnectionOptions: {
      maxRetries: 0,
      initialReconnectionDelay: 0,
      maxReconnectionDelay: 0,
      reconnectionDelayGrowFactor: 1,
    },
  });
  const guarded = async <Result>(asked: boolean, work: () => Promise<Result>): Promise<Result> => {
    try {
      return await work();
    } catch (error) {
      signal.throwIfAborted();
      throw explain(error, name, asked, hide);
    }
  };
  try {
    await guarded(false, () => client.connect(transport, { timeout: connectMs, signal }));
  } catch (error) {
    await transport.close().catch(() => undefined);
    throw error;
  }
  return {
    list: (listSignal) =>
      guarded(false, async () => {
        const tools: unknown[] = [];
        let cursor: string | undefined;
        const end = performance.now() + listMs;
        for (let page = 0; page < maxListPages; page += 1) {
          const answer = await client.request(
            { method: "tools/list", params: cursor === undefined ? {} : { cursor } },
            ToolsPage,
            { timeout: Math.max(1, end - performance.now()), signal: listSignal },
          );
          tools.push(...answer.tools.slice(0, maxListed - tools.length));
          cursor = answer.nextCursor;
          if (cursor === undefined || tools.length >= maxListed) break;
        }
        return readListing(tools);
      }),
    call: async ({ name: tool, args, timeoutMs }, callSignal) => {
      try {
        const answer = readAnswer(
          await client.callTool(
            { name: tool, arguments: args },
            { timeout: timeoutMs, maxTotalTimeout: timeoutMs, signal: callSignal },
          ),
        );
        return { ...answer, content: hide(answer.content) };
      } catch (error) {
        callSignal.throwIfAborted();
        // The server's own word for what went wrong, after it has understood us.
        if (error instanceof ProtocolError)
          return { content: hide(`The tool failed: ${error.message}`), isError: true };
        throw explain(error, name, true, hide);
      }
    },
    close: async () => {
      await client.close();
    },
  };
};
