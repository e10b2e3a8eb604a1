import { beginIdempotent, finishIdempotent, hashRequest } from "@cortex/accounts";
import { AppError } from "@cortex/contracts";
import type { Once } from "@cortex/runs";
import { actingAccount } from "./acting-account.ts";
import type { ApiRequest } from "./request-context.ts";

/** Visible ASCII, as long as a row may hold it. */
const keyPattern = /^[\x21-\x7e]{1,255}$/;

const keyOf = (c: ApiRequest): string | null => {
  const key = c.req.header("idempotency-key");
  if (key === undefined) return null;
  if (keyPattern.test(key)) return key;
  throw new AppError("validation_failed", "Idempotency-Key must have 1 to 255 visible ASCII characters.", {
    errors: [{ pointer: "/headers/idempotency-key", detail: "must have 1 to 255 visible ASCII characters" }],
  });
};

/**
 * Answers a creating request once per `Idempotency-Key`: what is created and the answer to be repeated are in one transaction, so there is
 * never one without the other. Without the header it costs nothing. Keys belong to the account that the caller acts for.
 * @param input.status the 2xx that the route answers with
 * @param input.body what makes it the same request; default: the bytes of the body
 * Errors: `idempotency_key_reused`, `idempotency_key_in_use`, `validation_failed`
 */
export const answerOnce = (c: ApiRequest, input: { status: 201 | 202; body?: string }): Once => {
  const key = keyOf(c);
  if (key === null) return (_tx, create) => create();
  return async <Created>(tx: Parameters<Once>[0], create: () => Promise<Created>): Promise<Created> => {
    const account = await actingAccount(tx, c.get("caller"));
    const requestHash = hashRequest({ method: c.req.method, path: c.req.path, body: input.body ?? c.get("body") });
    const request = { accountId: account.accountId, key, requestHash };
    const claim = await beginIdempotent(tx, request);
    if (claim.kind === "replay") {
      c.header("idempotent-replayed", "true");
      return claim.answer.body as Created;
    }
    const body = await create();
    await finishIdempotent(tx, { ...request, token: claim.token, answer: { status: input.status, body } });
    return body;
  };
};
