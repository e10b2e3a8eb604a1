import { ConnectionError } from "../failures.ts";

/** Where the API is and who asks. */
export interface Connection {
  /** Without `/api` and without a slash at its end; empty: the page's own origin. */
  baseUrl: string;
  token: () => Promise<string> | string;
  fetch: typeof globalThis.fetch;
  accountId: string | null;
}

export interface HttpRequest {
  method: "GET" | "POST" | "PATCH" | "PUT" | "DELETE";
  /** From behind `/api`; its ids are encoded by `path`. */
  path: string;
  query?: Readonly<Record<string, string | number | null | undefined>>;
  headers?: Readonly<Record<string, string>>;
  body?: string | FormData | null;
}

/** A path with its ids encoded: an id is data and must not become a path of its own. */
export const path = (parts: TemplateStringsArray, ...ids: readonly string[]): string =>
  String.raw({ raw: parts }, ...ids.map((id) => encodeURIComponent(id)));

/**
 * Sends a request once, with a fresh token. The answer may have any status.
 * @throws ConnectionError when there is no answer; the signal's reason when it aborted; whatever `token` throws
 */
export const sendOnce = async (
  connection: Connection,
  request: HttpRequest,
  signal: AbortSignal,
): Promise<Response> => {
  const token = await unlessAborted(connection.token(), signal);
  const { accountId } = connection;
  try {
    return await connection.fetch(urlOf(connection, request), {
      method: request.method,
      headers: {
        accept: "application/json",
        ...request.headers,
        ...(accountId === null ? {} : { "x-account-id": accountId }),
        authorization: `Bearer ${token}`,
      },
      body: request.body ?? null,
      signal,
    });
  } catch (error) {
    throw brokenOff(error, signal, `${request.method} ${request.path}`);
  }
};

/** The value, or the signal's reason if that comes first: a renewal that hangs must not hang the call. */
const unlessAborted = <Value>(value: Promise<Value> | Value, signal: AbortSignal): Promise<Value> =>
  new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason as Error);
    signal.addEventListener("abort", abort);
    if (signal.aborted) abort();
    const letGo = (): void => signal.removeEventListener("abort", abort);
    Promise.resolve(value).then(resolve, reject).finally(letGo);
  });

/** What a rejected fetch or read means: the signal's reason if it was us who ended it. */
export const brokenOff = (error: unknown, signal: AbortSignal, what: string): unknown =>
  signal.aborted ? signal.reason : new ConnectionError(`${what}: ${describe(error)}`, { cause: error });

const urlOf = ({ baseUrl }: Connection, request: HttpRequest): string => {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(request.query ?? {})) {
    if (value !== null && value !== undefined) query.set(name, String(value));
  }
  return `${baseUrl}/api${request.path}${query.size === 0 ? "" : `?${query.toString()}`}`;
};

/** `fetch failed` alone helps nobody: Node keeps the reason (ECONNREFUSED …) in the cause. */
const describe = (error: unknown): string => {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error && error.cause.message !== ""
    ? `${error.message} (${error.cause.message})`
    : error.message;
};
