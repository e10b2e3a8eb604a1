import { expect, test } from "vitest";
import { isApiError } from "../failures.ts";
import { readApiError, retryAfterMs } from "./problem.ts";

test.each([
  [null, null],
  ["", null],
  ["soon", null],
  ["3", 3_000],
  ["0", 0],
  ["Fri, 20 Nov 2026 12:00:05 GMT", 5_000],
  ["Fri, 20 Nov 2026 11:00:00 GMT", 0],
])("Retry-After: %s", (header, ms) => {
  expect(retryAfterMs(header, Date.UTC(2026, 10, 20, 12, 0, 0))).toBe(ms);
});

const answer = (status: number, body: string | object, headers: Record<string, string> = {}) =>
  new Response(typeof body === "string" ? body : JSON.stringify(body), { status, headers });

test("a problem document with everything it can say", async () => {
  const error = await readApiError(
    answer(409, {
      type: "urn:cortex:problem:thread_busy",
      title: "Thread busy",
      status: 409,
      detail: "A run is active on this thread.",
      code: "thread_busy",
      request_id: "r-1",
      retryable: true,
      retry_after_ms: 250,
      errors: [{ pointer: "/prompt", detail: "too long" }],
      agent_run_id: "11111111-1111-4111-8111-111111111111",
    }),
  );
  expect(error).toMatchObject({
    status: 409,
    code: "thread_busy",
    retryable: true,
    retryAfterMs: 250,
    requestId: "r-1",
    errors: [{ pointer: "/prompt", detail: "too long" }],
    agentRunId: "11111111-1111-4111-8111-111111111111",
    message: "thread_busy: A run is active on this thread. /prompt: too long.",
  });
  expect(isApiError(error, "thread_busy")).toBe(true);
  expect(isApiError(error, "not_found")).toBe(false);
});

test("a proxy's error page: the status and the headers say what they can", async () => {
  const headers = { "retry-after": "2", "x-request-id": "r-2" };
  expect(await readApiError(answer(502, "<html>", headers))).toMatchObject({
    status: 502,
    code: null,
    retryable: true,
    retryAfterMs: 2_000,
    requestId: "r-2",
  });
  expect(await readApiError(answer(404, { message: "no such route" }))).toMatchObject({ code: null, retryable: false });
});

test("a code of a newer API is kept, a field of a wrong type is passed over", async () => {
  const odd = { code: "brand_new", detail: 7, title: "Brand new", retryable: "yes", errors: [{ pointer: 1 }, null] };
  expect(await readApiError(answer(418, odd))).toMatchObject({
    code: "brand_new",
    detail: "Brand new",
    retryable: false,
    errors: [],
  });
});
