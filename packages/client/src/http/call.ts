import { UnexpectedAnswerError } from "../failures.ts";
import { brokenOff, type Connection, type HttpRequest, sendOnce } from "./connection.ts";
import { createDeadline } from "./deadline.ts";
import { pause } from "./pause.ts";
import { readApiError } from "./problem.ts";
import { retryVerdict } from "./retry-verdict.ts";
import type { ClientTiming } from "./timing.ts";

/** As much of a zod schema as is needed to read an answer. */
export interface AnswerSchema<Answer> {
  safeParse(
    value: unknown,
  ):
    | { success: true; data: Answer }
    | { success: false; error: { issues: readonly { path: readonly PropertyKey[]; message: string }[] } };
}

/** What a caller may add to every call. */
export interface CallOptions {
  signal?: AbortSignal | undefined;
}

/** What a caller may add to calls that create or charge. */
export interface CreateOptions extends CallOptions {
  /** The same key and body give the first answer again, for 7 days. Without one, each call gets its own, kept over its retries. */
  idempotencyKey?: string | undefined;
}

export interface Call<Answer> {
  method: HttpRequest["method"];
  path: string;
  query?: HttpRequest["query"];
  /** JSON, or a form that is sent as it is. */
  body?: object;
  /** Null: there is nothing to read (204). */
  answer: AnswerSchema<Answer> | null;
  /**
   * - `read`, `idempotent`: may be repeated as it is
   * - `creates`: may be repeated under its idempotency key
   * - `changes`: is sent once
   */
  kind: "read" | "idempotent" | "creates" | "changes";
  options: CreateOptions | undefined;
}

export interface Caller {
  connection: Connection;
  timing: ClientTiming;
  /** Null: creating calls carry no key unless they are given one, and are not repeated. */
  newIdempotencyKey: (() => string) | null;
  random: () => number;
}

/**
 * Makes a call and reads its answer, with retries as far as the call allows.
 * @throws ApiError, ConnectionError, UnexpectedAnswerError, or the reason of an aborted signal
 */
export const call = async <Answer>(caller: Caller, input: Call<Answer>): Promise<Answer> => {
  const { timing } = caller;
  const signal = input.options?.signal ?? null;
  signal?.throwIfAborted();
  const key =
    input.options?.idempotencyKey ?? (input.kind === "creates" ? (caller.newIdempotencyKey?.() ?? null) : null);
  const repeatable = input.kind === "read" || input.kind === "idempotent" || key !== null;
  const request = requestOf(input, key);
  for (let tries = 1; ; tries += 1) {
    try {
      return await tryOnce(caller, input, request, signal);
    } catch (failure) {
      signal?.throwIfAborted();
      const verdict = retryVerdict({ failure, repeatable, tries, timing, random: caller.random() });
      if (verdict.kind === "give_up") throw failure;
      await pause(verdict.waitMs, signal);
    }
  }
};

const requestOf = <Answer>(input: Call<Answer>, key: string | null): HttpRequest => {
  const { body } = input;
  const isForm = body instanceof FormData;
  return {
    method: input.method,
    path: input.path,
    query: input.query ?? {},
    headers: {
      ...(body === undefined || isForm ? {} : { "content-type": "application/json" }),
      ...(key === null ? {} : { "idempotency-key": key }),
    },
    body: body === undefined ? null : isForm ? body : JSON.stringify(body),
  };
};

const tryOnce = async <Answer>(
  caller: Caller,
  input: Call<Answer>,
  request: HttpRequest,
  signal: AbortSignal | null,
): Promise<Answer> => {
  const what = `${request.method} ${request.path}`;
  const deadline = createDeadline({
    ms: caller.timing.answerMs,
    meaning: `${what}: no answer within ${caller.timing.answerMs} ms`,
    signal,
  });
  try {
    deadline.restart();
    const response = await sendOnce(caller.connection, request, deadline.signal);
    if (!response.ok) throw await readApiError(response);
    const text = await readText(response, deadline.signal, what);
    return input.answer === null ? (undefined as Answer) : readAnswer(input.answer, text, what);
  } finally {
    deadline.release();
  }
};

const readText = async (response: Response, signal: AbortSignal, what: string): Promise<string> => {
  try {
    return await response.text();
  } catch (error) {
    throw brokenOff(error, signal, what);
  }
};

/** Answers are checked: a caller is told here that the API is another version, not by an `undefined` three screens later. */
const readAnswer = <Answer>(schema: AnswerSchema<Answer>, text: string, what: string): Answer => {
  const read = schema.safeParse(parseJson(text, what));
  if (read.success) return read.data;
  const [issue] = read.error.issues;
  throw new UnexpectedAnswerError(
    `${what}: the answer at /${issue?.path.map(String).join("/") ?? ""}: ${issue?.message ?? "?"}`,
  );
};

const parseJson = (text: string, what: string): unknown => {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new UnexpectedAnswerError(`${what}: the answer is not JSON`, { cause: error });
  }
};
